//! The man page and the completions say what `--help` says: they are made from the same rows, and this holds them to it.

use crate::support::folder::Folder;
use crate::support::harness::mydocker;
use crate::support::needs::Needs;
use std::fs;
use std::path::Path;
use std::process::Command;

#[path = "../../manual/pages.rs"]
mod pages;

/// One option as `run --help` prints it.
struct Described {
    /// The heading that it stands under.
    group: String,
    /// What is before the explanation.
    synopsis: String,
    /// The names in it: `-m`, `--memory-limit` ...
    names: Vec<String>,
    /// What it does, on one line.
    help: String,
}

/// Every option of `run --help`. An explanation may go on in the lines below, in its column.
fn help() -> Vec<Described> {
    let text = mydocker(&["run", "--help"]).finish().success();
    let mut group = String::new();
    let mut found: Vec<Described> = Vec::new();
    for line in text.lines() {
        if let Some(heading) = line.strip_suffix(':').filter(|heading| !heading.contains(' ')) {
            group = heading.to_string();
        }
        let Some(row) = line.strip_prefix("  ") else { continue };
        if !row.trim_start().starts_with('-') {
            let last = found.last_mut().expect("an option before what goes on");
            last.help = format!("{} {}", last.help, row.trim());
            continue;
        }
        let (synopsis, explanation) = row.trim_start().split_once("  ").expect("two columns");
        let names = synopsis.split([' ', ',', '[']).filter(|word| word.starts_with('-')).map(String::from).collect();
        let help = explanation.trim().to_string();
        found.push(Described { group: group.clone(), synopsis: synopsis.to_string(), names, help });
    }
    found
}

case!(help_fits_on_a_screen, Needs::NOTHING);
fn help_fits_on_a_screen() {
    let text = mydocker(&["--help"]).finish().success();
    assert!(text.lines().count() <= 24, "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    for word in ["run", "check", "--help", "--version", "--dry-run"] {
        assert!(text.contains(word), "{word}:\n{text}");
    }
}

case!(run_help_is_grouped, Needs::NOTHING);
fn run_help_is_grouped() {
    let mut groups: Vec<String> = help().into_iter().map(|option| option.group).collect();
    groups.dedup();
    assert_eq!(groups, ["Limits", "Root", "Process", "Namespaces", "Privilege", "Diagnostics"]);
    let text = mydocker(&["run", "--help"]).finish().success();
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

/// A line of the page without its markup.
fn plain(line: &str) -> String {
    let line = line.strip_prefix("\\&").unwrap_or(line);
    ["\\fB", "\\fI", "\\fR"]
        .iter()
        .fold(line.to_string(), |line, font| line.replace(font, ""))
        .replace("\\-", "-")
        .replace("\\e", "\\")
}

case!(the_man_page_says_what_help_says, Needs::NOTHING);
fn the_man_page_says_what_help_says() {
    let page = pages::run_page();
    let section = page.split(".SH OPTIONS\n").nth(1).expect("options").split("\n.SH ").next().expect("options");
    let said: Vec<(String, String)> = section
        .split(".TP\n")
        .skip(1)
        .map(|entry| {
            let mut lines = entry.lines();
            (plain(lines.next().expect("names")), plain(lines.next().expect("what it does")))
        })
        .collect();
    let helped: Vec<(String, String)> = help().into_iter().map(|option| (option.synopsis, option.help)).collect();
    assert!(helped.len() > 35);
    assert_eq!(said, helped);
    for status in ["125", "126", "127", "128 + n"] {
        assert!(page.contains(&format!(".TP\n{status}\n")), "{status}");
    }
}

/// A chapter of a page, without its heading; empty if the page does not have it.
fn chapter<'a>(page: &'a str, heading: &str) -> &'a str {
    let from = page.split(&format!("\n.SH {heading}\n")).nth(1).unwrap_or_default();
    from.split("\n.SH ").next().unwrap_or_default()
}

case!(the_man_pages_have_their_chapters, Needs::NOTHING);
/// In the order of man-pages(7), and none of them is empty.
fn the_man_pages_have_their_chapters() {
    for (name, page) in pages::man_pages() {
        let command = name.trim_end_matches(".1").trim_start_matches("mydocker").trim_start_matches('-');
        let mut expected = vec!["NAME", "SYNOPSIS", "DESCRIPTION"];
        expected.extend(match command {
            "" => &["COMMANDS", "LIMITS", "ROOT", "NETWORK", "SECURITY"][..],
            "run" => &["OPTIONS", "LIMITS", "SECURITY"],
            _ => &["OPTIONS"],
        });
        if ["", "run", "exec", "stop", "kill", "pause", "rm"].contains(&command) {
            expected.push("SIGNALS");
        }
        expected.push("EXIT STATUS");
        if command != "check" {
            expected.extend(["ENVIRONMENT", "FILES"]);
        }
        expected.extend(["EXAMPLES", "SEE ALSO"]);
        let headings: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix(".SH ")).collect();
        assert_eq!(headings, expected, "{name}");
        for heading in headings {
            assert!(!chapter(&page, heading).trim().is_empty(), "{name}: {heading}");
        }
        for status in ["0", "125"].iter().filter(|status| **status == "125" || !["run", "exec"].contains(&command)) {
            assert!(chapter(&page, "EXIT STATUS").contains(&format!(".TP\n{status}\n")), "{name}: {status}");
        }
    }
}

case!(the_examples_of_the_man_pages_have_options_that_exist, Needs::NOTHING);
fn the_examples_of_the_man_pages_have_options_that_exist() {
    let mut seen = 0;
    for (name, page) in pages::man_pages().iter().filter(|(name, _)| name != "mydocker.1") {
        let command = name.trim_start_matches("mydocker-").trim_end_matches(".1");
        let help = mydocker(&[command, "--help"]).finish().success();
        let mut lines = chapter(page, "EXAMPLES").lines();
        let mut own = 0;
        while let Some(tag) = lines.find(|line| *line == ".TP").and_then(|_| lines.next()) {
            // What is longer is cut in two.
            assert!(tag.starts_with("\\fB") && tag.ends_with("\\fR"), "{name}: {tag}");
            let example = plain(tag);
            let Some((_, words)) = example.split_once(&format!("mydocker {command}")) else { continue };
            own += 1;
            let words = words.split([' ', '=']).take_while(|word| !["sh", "|", "busybox"].contains(word));
            for option in words.filter(|word| word.starts_with('-')) {
                let knows = help.split([' ', ',', '[', ']', '\n', '=']).any(|word| word == option);
                assert!(knows, "{name}: {option} in {example}");
            }
        }
        assert!(own > 0, "{name}");
        seen += own;
    }
    assert!(seen > 20, "{seen}");
}

case!(the_man_page_has_every_variable_that_the_source_reads, Needs::SOURCE);
fn the_man_page_has_every_variable_that_the_source_reads() {
    let page = pages::man_page();
    let environment = plain(chapter(&page, "ENVIRONMENT"));
    let told: Vec<&str> = environment.split([' ', ',', '\n']).collect();
    let mut read = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of the source") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("UTF-8");
                let source = text.split("#[cfg(test)]").next().unwrap_or_default();
                assert!(!source.contains("env::var"), "{}: std reads the environment", path.display());
                for call in ["get(", "variable(", "of_caller(", "value("] {
                    let calls = source.split(call).skip(1).filter_map(|rest| rest.split(')').next());
                    let literals = calls.filter_map(|words| words.split("b\"").nth(1)?.split('"').next());
                    let is_name =
                        |name: &&str| name.len() > 2 && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
                    read.extend(literals.filter(is_name).map(String::from));
                }
            }
        }
    }
    for known in ["MYDOCKER_STATE", "MYDOCKER_SUBNET", "NO_COLOR", "LISTEN_FDNAMES", "PATH"] {
        assert!(read.iter().any(|name| name == known), "{known} is not found in the source: {read:?}");
    }
    for name in read {
        assert!(told.contains(&name.as_str()), "{name} is not in ENVIRONMENT:\n{environment}");
    }
}

case!(the_man_page_explains_every_limit_on_both_versions, Needs::SOURCE);
/// Each option of a limit, and each file that the source writes to.
fn the_man_page_explains_every_limit_on_both_versions() {
    let page = pages::run_page();
    let limits = plain(chapter(&page, "LIMITS").split("\n.SS ").nth(1).expect("a part about the versions"));
    let words: Vec<&str> = limits.split([' ', ',', '\n', '(']).map(|word| word.trim_end_matches('.')).collect();
    let options = help().into_iter().take_while(|option| option.names != ["--no-limits"]);
    let mut count = 0;
    for option in options {
        assert!(option.names.iter().any(|name| words.contains(&name.as_str())), "{:?}:\n{limits}", option.names);
        count += 1;
    }
    assert!(count > 8, "{count}");
    for (file, function) in [("limits.rs", "pub fn v1("), ("v2.rs", "pub fn settings(")] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cgroup").join(file);
        let text = fs::read_to_string(path).expect("the source");
        let body = text.split(function).nth(1).expect("the function").split("\n}\n").next().expect("its end");
        let names: Vec<&str> = body.split("c\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(names.len() > 6, "{names:?}");
        for name in names {
            assert!(words.contains(&name), "{name} of {file}:\n{limits}");
        }
    }
}

case!(the_man_pages_are_well_formed, Needs::GROFF);
fn the_man_pages_are_well_formed() {
    let folder = Folder::new();
    let pages = pages::man_pages();
    assert!(pages.len() > 12, "{}", pages.len());
    for (name, page) in &pages {
        let file = folder.write(name, page.as_bytes());
        let output = Command::new("groff").args(["-man", "-ww", "-Tascii", "-P-c", &file]).output().expect("groff");
        assert!(output.status.success() && output.stderr.is_empty(), "{name}: {output:?}");
        let text = String::from_utf8_lossy(&output.stdout);
        let plain: Vec<String> = text.lines().map(without_overstrikes).collect();
        // A day, as the changelog has it.
        let heading = page.lines().find(|line| line.starts_with(".TH ")).expect("a heading");
        let day = heading.split('"').nth(1).expect("a day");
        let shape: String = day.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(shape, "0000-00-00", "{name}: {heading}");
        let title = format!("{}(1)", name.trim_end_matches(".1").to_uppercase());
        assert!(plain.iter().any(|line| line.contains(&title)), "{name}:\n{text}");
        assert!(plain.iter().all(|line| line.chars().count() <= 80), "{name}:\n{text}");
        // Each page that another one names is there.
        for word in page.lines().filter_map(|line| line.strip_prefix(".BR mydocker")) {
            let named = format!("mydocker{}.1", plain_word(word));
            assert!(pages.iter().any(|(name, _)| *name == named), "{name} names {named}");
        }
    }
}

case!(the_man_pages_pass_mandocs_lint, Needs::MANDOC);
fn the_man_pages_pass_mandocs_lint() {
    let folder = Folder::new();
    for (name, page) in pages::man_pages() {
        let file = folder.write(&name, page.as_bytes());
        let output = Command::new("mandoc").args(["-T", "lint", &file]).output().expect("mandoc");
        assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
    }
}

/// The first word, without its markup.
fn plain_word(text: &str) -> String {
    plain(text.split(' ').next().unwrap_or_default())
}

/// A line as a terminal shows it: bold is a letter, a backspace, and the letter again.
fn without_overstrikes(line: &str) -> String {
    let mut out = String::new();
    for letter in line.chars() {
        match letter {
            '\u{8}' => drop(out.pop()),
            letter => out.push(letter),
        }
    }
    out
}

case!(help_of_each_command, Needs::NOTHING);
fn help_of_each_command() {
    let help = mydocker(&["--help"]).finish().success();
    assert_eq!(mydocker(&["help"]).finish().success(), help);
    for command in ["run", "check", "exec", "ps", "stats", "logs", "wait", "stop", "kill", "pause", "unpause", "rm"] {
        let own = mydocker(&[command, "--help"]).finish().success();
        assert_eq!(mydocker(&["help", command]).finish().success(), own, "{command}");
        assert!(help.contains(command), "{command}:\n{help}");
        assert!(own.starts_with(&format!("Usage: mydocker {command} ")), "{command}:\n{own}");
        let wrong = mydocker(&[command, "--no-such-option"]).finish();
        wrong.usage_error(&["--no-such-option"]);
        assert!(wrong.stderr_text().ends_with(&format!("Try 'mydocker {command} --help'.\n")), "{wrong:?}");
    }
    // That of `version`, and not the version; with docker it is the same.
    let own = mydocker(&["version", "--help"]).finish().success();
    assert!(own.starts_with("Usage: mydocker version\n"), "{own}");
    for word in ["version", "--version"] {
        assert_eq!(mydocker(&["help", word]).finish().success(), own, "{word}");
    }
    for word in ["no-such-topic", "", "--json", "\u{e9}"] {
        mydocker(&["help", word]).finish().usage_error(&["neither a command nor a chapter"]);
    }
    for (word, meant) in [("limit", "limits"), ("networks", "network"), ("logz", "logs")] {
        mydocker(&["help", word]).finish().usage_error(&[&format!("did you mean {meant}?")]);
    }
    mydocker(&["help", "run", "ps"]).finish().usage_error(&["one word", "ps"]);
}

case!(help_of_each_topic, Needs::NOTHING);
/// The chapters are in the man page, too, and every option that they name exists.
fn help_of_each_topic() {
    let help = mydocker(&["--help"]).finish().success();
    let known: Vec<String> = self::help().into_iter().flat_map(|option| option.names).collect();
    for topic in ["limits", "root", "network", "security"] {
        let text = mydocker(&["help", topic]).finish().success();
        assert!(help.contains(topic) && text.lines().all(|line| line.chars().count() <= 80), "{topic}:\n{text}");
        assert_eq!(text.contains("A bridge has no IPv6."), topic == "network");
        for word in text.split(|c: char| !(c.is_ascii_lowercase() || c == '-')).filter(|word| word.starts_with("--")) {
            // That of systemd-run is not ours.
            assert!(known.iter().any(|name| name == word) || ["--user", "--scope"].contains(&word), "{topic}: {word}");
        }
        let page = pages::man_page();
        let first = text.lines().next().expect("a line");
        assert!(page.lines().any(|line| plain(line) == first), "{topic}: {first}");
    }
}

case!(completions_know_every_option, Needs::NOTHING);
fn completions_know_every_option() {
    for option in help() {
        for name in &option.names {
            let (bash, zsh, fish) = (pages::bash(), pages::zsh(), pages::fish());
            let is = |c: char| c.is_ascii_alphanumeric() || c == '-';
            assert!(bash.split(|c| !is(c)).any(|word| word == name), "bash: {name}");
            assert!(
                zsh.split(|c| !is(c)).any(|word| word == name || word.strip_suffix('-') == Some(name)),
                "zsh: {name}"
            );
            let words = match name.strip_prefix("--") {
                Some(long) => format!(" -l {long} "),
                None => format!(" -s {} ", &name[1..]),
            };
            assert!(fish.contains(&words), "fish: {name}");
        }
    }
}

case!(bash_completes, Needs::BASH);
fn bash_completes() {
    let folder = Folder::new();
    let file = folder.write("mydocker.bash", pages::bash().as_bytes());
    folder.write("a-file", b"");
    // As readline calls it: a word that holds one of `breaks` is divided there.
    let complete_with = |breaks: &str, words: &[&str]| {
        let line = words.join(" ");
        let pieces = words.iter().flat_map(|word| {
            let divided = word.replace(|c| breaks.contains(c), "\0").split('\0').map(String::from).collect::<Vec<_>>();
            let mut dividers = word.chars().filter(|&c| breaks.contains(c)).map(String::from);
            let mut pieces: Vec<String> = Vec::new();
            for part in divided {
                pieces.extend(Some(part).filter(|part| !part.is_empty()));
                pieces.extend(dividers.next());
            }
            if word.is_empty() { vec![String::new()] } else { pieces }
        });
        let quoted: Vec<String> = pieces.map(|piece| format!("'{piece}'")).collect();
        let script = format!(
            "source {file}; mydocker() {{ echo web-1; echo db; }}; cd {}; COMP_WORDBREAKS=' {breaks}'; COMP_LINE='{line}'; COMP_POINT={}; COMP_WORDS=({}); \
             COMP_CWORD={}; _mydocker; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            folder.as_path().display(),
            line.len(),
            quoted.join(" "),
            quoted.len() - 1
        );
        let output = Command::new("bash").args(["-c", &script]).output().expect("bash");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{script}");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().filter(|line| !line.is_empty()).map(String::from).collect::<Vec<_>>()
    };
    let complete = |words: &[&str]| complete_with("=:", words);
    for (words, expected) in [
        (&["mydocker", "s"][..], &["stop", "stats"][..]),
        (&["mydocker", "check", "--j"], &["--json"]),
        (&["mydocker", "help", "li"], &["limits"]),
        (&["mydocker", "help", "unp"], &["unpause"]),
        (&["mydocker", "stop", ""], &["web-1", "db"]),
        (&["mydocker", "exec", "-t", "w"], &["web-1"]),
        (&["mydocker", "logs", "--ti"], &["--timestamps"]),
        (&["mydocker", "ps", ""], &[]),
        (&["mydocker", "run", "--mem"], &["--memory-limit", "--memory", "--memory-swap", "--memory-reservation"]),
        (&["mydocker", "run", "-t", "--dry"], &["--dry-run", "--dry-run="]),
        (&["mydocker", "run", "--network", ""], &["none", "host", "bridge"]),
        (&["mydocker", "run", "--pid", "h"], &["host"]),
        (&["mydocker", "run", "--env-file", "a-"], &["a-file"]),
        (&["mydocker", "run", "-m", ""], &[]),
        (&["mydocker", "run", "-m", "1g", "--cpus", "1", "--uts", ""], &["host"]),
        (&["mydocker", "run", "-t", "ls", "--a"], &[]),
        (&["mydocker", "run", "-t", "ls", "a-"], &["a-file"]),
        (&["mydocker", "other", ""], &[]),
        // What readline replaces is only the piece at the cursor.
        (&["mydocker", "run", "--network=h"], &["host"]),
        (&["mydocker", "run", "--network="], &["none", "host", "bridge"]),
        (&["mydocker", "run", "--dry-run=s"], &["sh"]),
        (&["mydocker", "run", "--env-file=a-"], &["a-file"]),
        (&["mydocker", "run", "-v=a-"], &["a-file"]),
        (&["mydocker", "run", "-v", "a-"], &["a-file"]),
        (&["mydocker", "run", "-v", "/a:a-"], &[]),
        (&["mydocker", "run", "--name=va"], &[]),
        (&["mydocker", "run", "--name=x", "--memory-s"], &["--memory-swap"]),
        (&["mydocker", "run", "-v", "/a:/b", "--memory-s"], &["--memory-swap"]),
        (&["mydocker", "run", "-e", "A=b:c=d", "-tm", "1g", "--uts", ""], &["host"]),
        (&["mydocker", "run", "-v", "/a:/b", "ls", "--memory-s"], &[]),
        (&["mydocker", "run", "--name=x", "ls", "a-"], &["a-file"]),
        (&["mydocker", "run", "--", "--memory-s"], &[]),
    ] {
        assert_eq!(complete(words), expected, "{words:?}");
    }
    for (breaks, expected) in [("=:", "host"), ("=", "host"), (":", "--network=host"), ("", "--network=host")] {
        let words = ["mydocker", "run", "-v", "/a:/b", "--network=h"];
        assert_eq!(complete_with(breaks, &words), [expected], "{breaks:?}");
    }
    assert!(complete(&["mydocker", "run", "-m", "1g", "bas"]).contains(&"bash".to_string()), "a command");
    let all = complete(&["mydocker", "run", "-"]);
    for option in help() {
        for name in &option.names {
            assert!(all.contains(name), "{name}");
        }
    }
}

case!(zsh_reads_it, Needs::ZSH);
fn zsh_reads_it() {
    let folder = Folder::new();
    let file = folder.write("_mydocker", pages::zsh().as_bytes());
    let output = Command::new("zsh").args(["-n", &file]).output().expect("zsh");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    // Its own parser of the specifications, called as a completion calls it, has nothing to complain of.
    let script = format!(
        "autoload -U compinit && compinit -D -u; fpath=({0} $fpath); zmodload zsh/zpty; \
         zpty z 'zsh -f -i'; zpty -w z 'PS1=; fpath=({0} $fpath); autoload -U compinit; compinit -D -u; compdef _mydocker mydocker; \
         zstyle :completion:\\* list-prompt %S; LISTMAX=1000; print rea''dy'; zpty -r z out '*ready*'; \
         zpty -n -w z $'mydocker run --pids\\t'; zpty -r -m z out '*--pids-limit*' && print found",
        folder.as_path().display()
    );
    let output = Command::new("timeout").args(["20", "zsh", "-f", "-c", &script]).output().expect("zsh");
    assert!(String::from_utf8_lossy(&output.stdout).contains("found"), "{output:?}");
    // What a tab makes of each line; the key ^X prints it.
    folder.write("a-file", b"");
    let lines = [
        ("mydocker run --pids", "mydocker run --pids-limit="),
        ("mydocker run -v /a:/b --name=x --pids", "mydocker run -v /a:/b --name=x --pids-limit="),
        ("mydocker run --network h", "mydocker run --network host "),
        ("mydocker run --stats=j", "mydocker run --stats=json "),
        ("mydocker run -m 1g basena", "mydocker run -m 1g basename "),
        ("mydocker run -t basename --pids", "mydocker run -t basename --pids"),
        ("mydocker run -t basename a-", "mydocker run -t basename a-file "),
        ("mydocker run -- --pids", "mydocker run -- --pids"),
    ];
    let quoted: Vec<String> = lines.iter().map(|(line, _)| format!("'{line}'")).collect();
    let script = format!(
        "zmodload zsh/zpty; zpty z 'zsh -f -i'; zpty -w z 'PS1=; cd {0}; fpath=({0} $fpath); autoload -U compinit; \
         compinit -D -u; compdef _mydocker mydocker; show() {{ print -r -- \"<$BUFFER>\"; BUFFER= }}; zle -N show; \
         bindkey -r ^X; bindkey ^X show; print rea''dy'; zpty -r z out '*ready*'; \
         for line in {1}; do zpty -n -w z \"$line\"$'\\t\\x18'; zpty -r -m z out '*<*>*'; print -r -- $out; done",
        folder.as_path().display(),
        quoted.join(" ")
    );
    let output = Command::new("timeout").args(["20", "zsh", "-f", "-c", &script]).output().expect("zsh");
    let text = String::from_utf8_lossy(&output.stdout);
    let completed: Vec<&str> = text.split('<').skip(1).filter_map(|rest| Some(rest.split_once('>')?.0)).collect();
    assert_eq!(completed, lines.map(|(_, expected)| expected), "{text}");
}

case!(fish_completes, Needs::FISH);
fn fish_completes() {
    let folder = Folder::new();
    let file = folder.write("mydocker.fish", pages::fish().as_bytes());
    folder.write("a-file", b"");
    let complete = |line: &str| {
        let script = format!("source {file}; cd {}; complete -C'{line}'", folder.as_path().display());
        let output = Command::new("fish").args(["--no-config", "-c", &script]).output().expect("fish");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{script}");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().filter_map(|line| Some(line.split('\t').next()?.to_string())).collect::<Vec<_>>()
    };
    assert!(complete("mydocker r").contains(&"run".to_string()));
    assert_eq!(complete("mydocker run --memory-"), ["--memory-limit", "--memory-reservation", "--memory-swap"]);
    assert_eq!(complete("mydocker run --network "), ["bridge", "host", "none"]);
    for (line, expected) in [
        ("mydocker run -v /a:/b --name=x -tm 1g --dry-run --pids", &["--pids-limit"][..]),
        ("mydocker run -m 1g basena", &["basename"]),
        ("mydocker run -- basena", &["basename"]),
        ("mydocker run -t basename --pids", &[]),
        ("mydocker run -t basename a-", &["a-file"]),
        ("mydocker run check --js", &[]),
        ("mydocker run -- --pids", &[]),
        ("mydocker check --js", &["--json"]),
    ] {
        assert_eq!(complete(line), expected, "{line}");
    }
}

case!(install_installs_them, Needs::NOTHING);
/// tests/packages/install knows each of the files.
fn install_installs_them() {
    let script = include_str!("../../packages/install");
    for (name, _) in pages::files() {
        let in_script = if name.ends_with(".1") { "/manual\"/*.1".to_string() } else { format!("/manual/{name}\" ") };
        assert!(script.contains(&in_script), "{name}");
    }
}
