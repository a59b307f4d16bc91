//! The tour of the source and the reference name what exists: files, functions, types, options.

use crate::support::harness::mydocker;
use crate::support::needs::Needs;
use std::fs;
use std::path::Path;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Each `[text](target)` in a document, but for those that lead out of the repository.
fn links(text: &str) -> Vec<(&str, &str)> {
    let found = text.split("](").collect::<Vec<_>>();
    let pairs = found.windows(2).map(|pair| {
        let name = pair[0].rsplit('[').next().expect("a text");
        (name, pair[1].split(')').next().expect("a target"))
    });
    pairs.filter(|(_, target)| !target.contains("://")).collect()
}

/// Whether a file of Rust defines `name`; of `Type::method` the method.
fn defines(source: &str, name: &str) -> bool {
    let name = name.rsplit("::").next().expect("a name");
    ["fn", "struct", "enum", "trait", "type", "const", "static", "mod", "macro_rules!"].iter().any(|kind| {
        let definition = format!("{kind} {name}");
        source.match_indices(&definition).any(|(at, _)| {
            let after = source[at + definition.len()..].chars().next();
            !after.is_some_and(|c| c.is_alphanumeric() || c == '_')
        })
    })
}

case!(every_link_leads_to_what_it_names, Needs::SOURCE);
fn every_link_leads_to_what_it_names() {
    for (document, at_least) in [
        ("src/README.md", 90),
        ("README.md", 19),
        ("README.zh-CN.md", 37),
        ("CHANGELOG.md", 0),
        ("tests/bench/README.md", 0),
        ("tests/lesson.md", 0),
        ("tests/manual/machines.md", 0),
        ("tests/manual/reference.md", 1),
        ("tests/manual/tasks.md", 1),
        ("tests/manual/walks.md", 1),
        ("tests/programs/README.md", 0),
        ("tests/vm/README.md", 0),
    ] {
        let path = Path::new(ROOT).join(document);
        let text = fs::read_to_string(&path).expect(document);
        let links = links(&text);
        assert!(links.len() >= at_least, "{document}: {} links", links.len());
        for (name, target) in links {
            let file = path.parent().expect("a folder").join(target);
            let source = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{document}: {target}: {e}"));
            if let Some(name) = name.strip_prefix('`').and_then(|name| name.strip_suffix('`')) {
                assert!(defines(&source, name), "{document}: {target} does not define {name}");
            }
        }
    }
}

case!(both_readmes_lead_to_the_same, Needs::SOURCE);
/// What one names, the other one names too; the Chinese one also leads to the source of each step of the exercise.
fn both_readmes_lead_to_the_same() {
    let read = |document| fs::read_to_string(Path::new(ROOT).join(document)).expect(document);
    let (english, chinese) = (read("README.md"), read("README.zh-CN.md"));
    let chinese = links(&chinese);
    for (_, target) in links(&english) {
        assert!(
            target == "README.zh-CN.md" || chinese.iter().any(|(_, other)| *other == target),
            "README.zh-CN.md does not name {target}"
        );
    }
    for (_, target) in chinese {
        let is_own = target == "README.md" || target.ends_with(".rs");
        assert!(
            is_own || links(&english).iter().any(|(_, other)| *other == target),
            "README.md does not name {target}"
        );
    }
}

case!(each_picture_is_well_formed_and_has_words_beside_it, Needs::SOURCE);
/// It is XML, has words in it, and stands in the README, with words for those who do not see it.
fn each_picture_is_well_formed_and_has_words_beside_it() {
    let mut pictures = Vec::new();
    let mut folders = vec![Path::new(ROOT).join("src"), Path::new(ROOT).join("tests")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "svg") {
                pictures.push(path);
            }
        }
    }
    assert!(pictures.len() >= 3, "{pictures:?}");
    let readme = fs::read_to_string(Path::new(ROOT).join("README.md")).expect("the README");
    for picture in pictures {
        let text = fs::read_to_string(&picture).expect("UTF-8");
        let document = roxmltree::Document::parse(&text).unwrap_or_else(|e| panic!("{}: {e}", picture.display()));
        assert!(document.root_element().has_tag_name(("http://www.w3.org/2000/svg", "svg")), "{}", picture.display());
        let words = document.descendants().filter(|node| node.has_tag_name("text")).filter_map(|node| node.text());
        assert!(words.filter(|words| !words.trim().is_empty()).count() > 5, "{}", picture.display());
        let name = picture.strip_prefix(ROOT).expect("below it").to_str().expect("UTF-8");
        let (before, _) = readme.split_once(&format!("]({name})")).unwrap_or_else(|| panic!("no README shows {name}"));
        let (_, beside) = before.rsplit_once("![").expect("a picture");
        assert!(beside.len() > 20 && !beside.contains(']'), "{name}: {beside}");
    }
}

case!(the_step_of_the_tour_is_the_step_of_the_source, Needs::SOURCE);
fn the_step_of_the_tour_is_the_step_of_the_source() {
    let tour = fs::read_to_string(Path::new(ROOT).join("src/README.md")).expect("the tour");
    let (_, from_step) = tour.split_once("\n    step! {\n").expect("a step");
    let lines = from_step.lines().take_while(|line| line.is_empty() || line.starts_with("    "));
    let shown: Vec<&str> = lines.map(|line| line.strip_prefix("    ").unwrap_or(line)).collect();
    let shown = format!("step! {{\n{}\n", shown.join("\n").trim_end());
    let source = fs::read_to_string(Path::new(ROOT).join("src/network/mod.rs")).expect("the source");
    assert!(source.contains(&shown), "{shown}");
}

case!(the_reference_has_every_option_of_help, Needs::SOURCE);
fn the_reference_has_every_option_of_help() {
    let reference = fs::read_to_string(Path::new(ROOT).join("tests/manual/reference.md")).expect("the reference");
    let section = reference.split("\n## Options\n").nth(1).expect("options").split("\n## ").next().expect("it");
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let told: Vec<&str> = section.split(|c| !is_name(c)).collect();
    let help = mydocker(&["run", "--help"]).finish().success();
    for line in help.lines().filter(|line| line.trim_start().starts_with('-') && line.starts_with("  ")) {
        let synopsis = line.trim_start().split("  ").next().expect("names");
        for name in synopsis.split([' ', ',', '[']).filter(|word| word.starts_with('-')) {
            assert!(told.contains(&name), "{name} is not in the reference");
        }
    }
}
