//! The man pages and the completions, made from the rows that `mydocker run --help` and the normaliser are made from.

#[path = "chapters.rs"]
mod chapters;
#[path = "../../src/cli/help.rs"]
#[allow(unused)]
mod help;
#[path = "../../src/cli/options.rs"]
#[allow(unused)]
mod options;
#[path = "../../src/cli/topics.rs"]
#[allow(unused)]
mod topics;
#[path = "../../src/cli/verbs.rs"]
#[allow(unused)]
mod verbs;

pub use options::{GROUPS, ROWS, Row, Value};

use chapters::{Entry, Page};
use mydocker::cgroup::Version;

/// The commands about containers that have a record, `exec` first.
fn verbs() -> Vec<verbs::Verb> {
    let own = |verb: &verbs::Verb| verbs::Verb { ..*verb };
    std::iter::once(help::exec_verb()).chain(verbs::VERBS.iter().map(own)).collect()
}

/// The names of the options of a command, and `--help`.
fn option_names(verb: &verbs::Verb) -> Vec<&'static str> {
    verb.rows.iter().flat_map(|row| row.names()).chain(["-h", "--help"]).collect()
}

/// Text for troff: a line may not begin with a dot or a quote, a backslash is `\e`, a dash that is one is `\-`.
fn troff(text: &str) -> String {
    let escaped = text.replace('\\', "\\e").replace('-', "\\-");
    escaped
        .lines()
        .map(|line| if line.starts_with(['.', '\'']) { format!("\\&{line}\n") } else { format!("{line}\n") })
        .collect()
}

/// The paragraphs of the help around the options, without the usage and the exit statuses, which the page has elsewhere.
fn paragraphs() -> Vec<String> {
    let around = format!("{}\n{}", help::BEFORE_OPTIONS, help::AFTER_OPTIONS);
    let is_prose = |part: &&str| !part.starts_with("Usage:") && !part.starts_with("Exit status:");
    around.split("\n\n").filter(is_prose).map(|part| part.trim().replace('\n', " ")).collect()
}

/// An option of the man page.
fn row_of_page(row: &Row) -> String {
    let names: Vec<String> = row.names().map(|name| format!("\\fB{}\\fR", troff(name).trim_end())).collect();
    let names = names.join(", ");
    let value = match row.value {
        Value::Switch => String::new(),
        Value::One => format!(" \\fI{}\\fR", troff(row.word).trim_end()),
        Value::Many => format!(" \\fI{}\\fR...", troff(row.word).trim_end()),
        Value::Optional => format!("[=\\fI{}\\fR]", troff(row.word).trim_end()),
    };
    format!(".TP\n{names}{value}\n{}", troff(row.help))
}

/// The beginning of a page, up to its DESCRIPTION. `usage`: what follows the name, in troff.
fn head(name: &str, does: &str, usage: &[String]) -> String {
    let title = name.to_uppercase().replace(' ', "-");
    let (file, does) = (troff(&name.replace(' ', "-")), troff(does));
    let date = date();
    let mut page = format!(
        ".\\\" Made by tests/manual from the rows of src/cli and the chapters of src/cli/topics.rs.\n\
         .TH {title} 1 \"{date}\" \"mydocker {VERSION}\" \"User Commands\"\n.SH NAME\n{} \\- {does}.SH SYNOPSIS\n",
        file.trim_end()
    );
    let lines: Vec<String> = usage.iter().map(|usage| format!(".B {name}\n{usage}")).collect();
    page += lines.join(".br\n").as_str();
    page + ".SH DESCRIPTION\n"
}

/// The day of the newest part of the changelog: the last word of its heading.
fn date() -> &'static str {
    let changes = include_str!("../../CHANGELOG.md");
    let heading = changes.lines().find(|line| line.starts_with("## ")).expect("a heading");
    heading.rsplit(' ').next().expect("a day")
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The paragraphs of a chapter; an indented one is shown as it is.
fn chapter(text: &str) -> String {
    let paragraphs = text.trim_end().split("\n\n").map(|paragraph| match paragraph.starts_with(' ') {
        true => {
            let lines: Vec<&str> = paragraph.lines().map(|line| line.trim_start_matches("    ")).collect();
            format!(".PP\n.nf\n{}.fi\n", troff(&lines.join("\n")))
        }
        false => format!(".PP\n{}", troff(paragraph)),
    });
    paragraphs.collect::<String>().trim_start_matches(".PP\n").to_string()
}

/// Text that is shown as it is: the quotes, too, that troff would make typographic.
fn verbatim(text: &str) -> String {
    troff(text).trim_end().replace('\'', "\\(aq").replace('`', "\\(ga").replace('^', "\\(ha")
}

/// An entry of a list: a tag, and what is said about it.
fn tagged(tag: &str, text: &str) -> String {
    format!(".TP\n{tag}\n{}", troff(text))
}

/// A chapter of entries with names, unless this page has none.
fn entries(heading: &str, font: &str, all: &[Entry], page: Page) -> String {
    let own = all.iter().filter(|entry| entry.is_in(page)).map(|entry| {
        let names: Vec<String> = entry.names.iter().map(|name| format!("\\f{font}{}\\fR", verbatim(name))).collect();
        tagged(&names.join(", "), entry.text)
    });
    let own: String = own.collect();
    if own.is_empty() { own } else { format!(".SH {heading}\n{own}") }
}

/// The chapters that every page ends with.
fn tail(page: Page) -> String {
    let mut tail = String::new();
    if let Some(text) = chapters::signals(page) {
        tail += &format!(".SH SIGNALS\n{}", troff(text));
    }
    tail += ".SH EXIT STATUS\n";
    tail += &chapters::statuses(page).iter().map(|(status, text)| tagged(&verbatim(status), text)).collect::<String>();
    tail += &entries("ENVIRONMENT", "B", chapters::VARIABLES, page);
    tail += &entries("FILES", "I", chapters::FILES, page);
    tail += ".SH EXAMPLES\n";
    tail += &match page {
        // Those of the help.
        "" => {
            let lines = help::HELP.split("\n\n").last().unwrap_or_default().lines();
            format!(".nf\n{}.fi\n", lines.map(|line| troff(line.trim())).collect::<String>())
        }
        page => {
            let all = chapters::examples(page).iter();
            all.map(|(example, does)| tagged(&format!("\\fB{}\\fR", verbatim(example)), does)).collect()
        }
    };
    match page {
        "" => {
            tail + &see_also(
                "mydocker",
                ",\n.BR namespaces (7),\n.BR cgroups (7),\n.BR capabilities (7),\n.BR unshare (1)",
            )
        }
        "run" => tail + &see_also("mydocker-run", ",\n.BR cgroups (7),\n.BR namespaces (7)"),
        page => tail + &see_also(&format!("mydocker-{page}"), ""),
    }
}

/// Which files of cgroup v1 and v2 each limit is in.
fn limits() -> String {
    let mut text = String::new();
    for paragraph in chapters::LIMITS {
        text += &format!(".PP\n{}", troff(paragraph));
    }
    for limit in chapters::shown() {
        text += &format!(".TP\n\\fB{}\\fR\n", verbatim(limit.options));
        for (name, version) in [("v1", Version::V1), ("v2", Version::V2)] {
            text += &format!("{name}: {}.br\n", troff(&limit.written(version).join(", ")));
        }
        text += &troff(limit.differs);
    }
    text
}

/// A chapter of `mydocker help`.
fn topic(topic: &topics::Topic) -> String {
    format!(".SH {}\n{}", topic.name.to_uppercase(), chapter(topic.text))
}

/// References to the other pages, and then `more`.
fn see_also(own: &str, more: &str) -> String {
    let all =
        ["mydocker".to_string()].into_iter().chain(page_names().into_iter().map(|name| format!("mydocker-{name}")));
    let others: Vec<String> =
        all.filter(|name| name != own).map(|name| format!(".BR {} (1)", troff(&name).trim_end())).collect();
    format!(".SH SEE ALSO\n{}{more}\n", others.join(",\n"))
}

/// The commands that have a page.
fn page_names() -> Vec<&'static str> {
    ["run", "check"].into_iter().chain(verbs().iter().map(|verb| verb.name)).collect()
}

/// mydocker(1).
pub fn man_page() -> String {
    let mut page = head(
        "mydocker",
        "run a command in its own namespaces, under cgroup limits",
        &["\\fICOMMAND\\fR [\\fIOPTIONS\\fR] ...\n".into(), "\\fB\\-\\-help\\fR | \\fB\\-\\-version\\fR\n".into()],
    );
    page += "mydocker runs a command in its own Linux namespaces, under cgroup limits, keeps it, looks into it and connects it. \
             There is no daemon: a container that stays is kept by the process that started it.\n.SH COMMANDS\n";
    let others = [
        ("run", "Runs a command in a container."),
        ("check", "Says what this host offers, and how to fix what does not work."),
        ("help", "Prints the help of a command, or a chapter: limits, root, network or security."),
        ("version", "Prints the version, the commit and the target."),
    ];
    let verbs = verbs();
    for (name, does) in others.into_iter().chain(verbs.iter().map(|verb| (verb.name, verb.help))) {
        page += &format!(".TP\n.B {name}\n{}", troff(does));
    }
    for chapter in &topics::TOPICS {
        page += &topic(chapter);
        if chapter.name == "limits" {
            page += ".PP\n.BR mydocker\\-run (1)\nsays which files of cgroup v1 and v2 each limit is in.\n";
        }
    }
    page + &tail("")
}

/// mydocker-run(1).
pub fn run_page() -> String {
    let usage = "[\\fIOPTIONS\\fR] \\fICOMMAND\\fR [\\fIARG\\fR...]\n";
    let mut page = head("mydocker run", "run a command in a container", &[usage.into()]);
    page += paragraphs().iter().map(|paragraph| troff(paragraph)).collect::<Vec<_>>().join(".PP\n").as_str();
    page += ".SH OPTIONS\n";
    let mut rows = ROWS.iter();
    for (group, count) in GROUPS {
        page += &format!(".SS {group}\n");
        for row in rows.by_ref().take(*count) {
            page += &row_of_page(row);
        }
    }
    for name in ["limits", "security"] {
        page += &topics::find(name).map(topic).unwrap_or_default();
        if name == "limits" {
            page += &format!(".SS Files of cgroup v1 and v2\n{}", limits().trim_start_matches(".PP\n"));
        }
    }
    page + &tail("run")
}

/// mydocker-check(1).
fn check_page() -> String {
    let mut page = head("mydocker check", "say what this host offers", &["[\\fB\\-\\-json\\fR]\n".into()]);
    page += "One line for each feature. Where a feature does not work, the line says why and how to fix it.\n\
             .SH OPTIONS\n.TP\n\\fB\\-\\-json\\fR\nas JSON\n";
    page + &tail("check")
}

/// The page of a command about containers.
fn verb_page(verb: &verbs::Verb) -> String {
    let name = format!("mydocker {}", verb.name);
    let does = verb.help.trim_end_matches('.');
    let usage = format!("{}\n", troff(verb.usage).trim_end());
    let mut page = head(&name, &(does[..1].to_lowercase() + &does[1..]), &[usage]);
    page += &troff(verb.help);
    page += ".SH OPTIONS\n";
    page += &verb.rows.iter().map(row_of_page).collect::<String>();
    page + &tail(verb.name)
}

/// What a value may be, for completion.
struct Candidates {
    /// These words.
    words: Vec<&'static str>,
    /// Paths of the host.
    paths: Paths,
}

enum Paths {
    None,
    Files,
    Directories,
    /// Files, up to the first colon.
    FilesBeforeColon,
}

/// What the value of an option may be, as far as its name in the help tells.
fn candidates(value: &'static str) -> Candidates {
    let mut found = Candidates { words: Vec::new(), paths: Paths::None };
    for part in value.split('|') {
        match part {
            "FILE" | "PATH" => found.paths = Paths::Files,
            "DIR" => found.paths = Paths::Directories,
            _ if part.starts_with("SRC:") => found.paths = Paths::FilesBeforeColon,
            word if word.bytes().all(|byte| byte.is_ascii_lowercase()) => found.words.push(word),
            _ => {}
        }
    }
    found
}

/// The name of the value, unless the option is a switch.
fn value_of(row: &Row) -> Option<&'static str> {
    (row.value != Value::Switch).then_some(row.word)
}

/// Whether the value may be the next word.
fn takes_next_word(row: &Row) -> bool {
    matches!(row.value, Value::One | Value::Many)
}

/// The letters of the short names of those rows that `wanted` is true of.
fn letters(wanted: impl Fn(&Row) -> bool) -> String {
    let names = ROWS.iter().filter(|row| wanted(row)).flat_map(|row| row.names());
    names.filter(|name| !name.starts_with("--")).filter_map(|name| name.chars().nth(1)).collect()
}

/// For bash.
pub fn bash() -> String {
    let mut all = Vec::new();
    let mut with_next_word = Vec::new();
    let mut cases = String::new();
    for row in ROWS {
        let names: Vec<&str> = row.names().collect();
        for &name in &names {
            all.push(name.to_string());
            if matches!(row.value, Value::Optional) {
                all.push(format!("{name}="));
            }
        }
        if takes_next_word(row) {
            with_next_word.extend(names.iter().copied().filter(|name| name.starts_with("--")));
        }
        let Some(Candidates { words, paths }) = value_of(row).map(candidates) else { continue };
        let mut flags = String::new();
        if !words.is_empty() {
            flags += &format!(" -W '{}'", words.join(" "));
        }
        flags += match paths {
            Paths::None => "",
            Paths::Files | Paths::FilesBeforeColon => " -f",
            Paths::Directories => " -d",
        };
        if flags.is_empty() {
            continue;
        }
        // What is behind the colon is in the container.
        let only = if matches!(paths, Paths::FilesBeforeColon) { "[[ $value == *:* ]] || " } else { "" };
        let names = names.join("|");
        let files = if matches!(paths, Paths::None) { "" } else { "; files=1" };
        cases += &format!("    {names}) {only}mapfile -t COMPREPLY < <(compgen{flags} -- \"$value\"){files} ;;\n");
    }
    let mut verb_cases = String::new();
    for verb in verbs() {
        // After the name come words of the container.
        let names = if verb.usage.contains("NAME") { "$(mydocker ps -aq 2>/dev/null)" } else { "" };
        verb_cases += &format!(
            "    {}) if [[ $cur == -* ]]; then names='{}'; else names=\"{names}\"; fi\n        \
             mapfile -t COMPREPLY < <(compgen -W \"$names\" -- \"$cur\"); return ;;\n",
            verb.name,
            option_names(&verb).join(" ")
        );
    }
    let verb_names: Vec<&str> = verbs().iter().map(|verb| verb.name).collect();
    let topics = topics::TOPICS.map(|topic| topic.name).join(" ");
    BASH.replace("@VERBS@", &verb_names.join(" "))
        .replace("@TOPICS@", &topics)
        .replace("    @VERB_CASES@\n", &verb_cases)
        .replace("@SWITCHES@", &letters(|row| !takes_next_word(row)))
        .replace("@VALUES@", &letters(takes_next_word))
        .replace("@WITH_NEXT_WORD@", &with_next_word.join("|"))
        .replace("    @CASES@\n", &cases)
        .replace("@ALL@", &all.join(" "))
}

const BASH: &str = r#"# Made by tests/manual from the rows of src/cli/options.rs.
_mydocker() {
    COMPREPLY=()
    # readline divides words at = and : too. Put the pieces together again, up to the cursor.
    local line=${COMP_LINE:0:COMP_POINT} words=() piece
    for piece in "${COMP_WORDS[@]:0:COMP_CWORD+1}"; do
        if ((${#words[@]} == 0)) || [[ $line == [[:space:]]* ]]; then
            words+=('')
            line=${line#"${line%%[![:space:]]*}"}
        fi
        piece=${piece:0:${#line}}
        words[-1]+=$piece
        line=${line:${#piece}}
    done
    local last=$((${#words[@]} - 1)) cur=${words[-1]} names

    if ((last == 1)); then
        mapfile -t COMPREPLY < <(compgen -W 'run check help @VERBS@ --help --version' -- "$cur")
        return
    fi
    case ${words[1]} in
    check) mapfile -t COMPREPLY < <(compgen -W '--json --help' -- "$cur"); return ;;
    help) mapfile -t COMPREPLY < <(compgen -W 'run check @VERBS@ @TOPICS@' -- "$cur"); return ;;
    run) ;;
    @VERB_CASES@
    *) return ;;
    esac

    # Options end at the command; what follows is the command's.
    local at=2 ended='' option=''
    while ((at < last)); do
        option=''
        case ${words[at]} in
        @WITH_NEXT_WORD@) option=${words[at]} ;;
        --) ended=1; ((at += 1)); break ;;
        --*) ;;
        -?*) [[ ${words[at]} =~ ^-[@SWITCHES@]*([@VALUES@])$ ]] && option=-${BASH_REMATCH[1]} ;;
        *) ended=1; break ;;
        esac
        ((at += 1))
        [[ -n $option ]] && ((at += 1))
    done

    local value=$cur prefix='' files=''
    if ((at <= last)); then
        option=''
        if [[ -z $ended && $cur == --*=* ]]; then
            option=${cur%%=*} value=${cur#*=} prefix=${cur%%=*}=
        elif [[ -z $ended && $cur =~ ^(-[@SWITCHES@]*([@VALUES@])=)(.*)$ ]]; then
            option=-${BASH_REMATCH[2]} value=${BASH_REMATCH[3]} prefix=${BASH_REMATCH[1]}
        fi
    fi
    case $option in
    @CASES@
    '')
        if ((at < last)); then
            mapfile -t COMPREPLY < <(compgen -f -- "$cur"); files=1
        elif [[ -z $ended && $cur == -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W '@ALL@ -h --help' -- "$cur")
        elif [[ $cur == */* ]]; then
            mapfile -t COMPREPLY < <(compgen -f -- "$cur"); files=1
        else
            mapfile -t COMPREPLY < <(compgen -c -- "$cur")
        fi
        ;;
    esac
    # compopt fails where nothing is being completed, as in a test.
    [[ -n $files ]] && compopt -o filenames 2>/dev/null
    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null

    # readline replaces only the piece behind the last = or :, where it divides words there.
    local dividers=${COMP_WORDBREAKS//[!=:]/} kept=''
    [[ -n $dividers && $cur == *[$dividers]* ]] && kept=${cur%"${cur##*[$dividers]}"}
    COMPREPLY=("${COMPREPLY[@]/#/$prefix}")
    COMPREPLY=("${COMPREPLY[@]#"$kept"}")
}
complete -F _mydocker mydocker
"#;

/// For zsh.
pub fn zsh() -> String {
    let verb_names: Vec<&str> = verbs().iter().map(|verb| verb.name).collect();
    let mut script = format!(
        "#compdef mydocker\n# Made by tests/manual from the rows of src/cli/options.rs.\n\
         if (( CURRENT == 2 )); then\n    compadd -- run check help {0} --help --version\n    return\nfi\n\
         case $words[2] in\ncheck) compadd -- --json --help; return ;;\nhelp) compadd -- run check {0} {1}; return ;;\nrun) ;;\n",
        verb_names.join(" "),
        topics::TOPICS.map(|topic| topic.name).join(" ")
    );
    for verb in verbs() {
        let names = if verb.usage.contains("NAME") { " ${(f)\"$(mydocker ps -aq 2>/dev/null)\"}" } else { "" };
        script += &format!("{}) compadd -- {}{names}; return ;;\n", verb.name, option_names(&verb).join(" "));
    }
    script += "*) return ;;\nesac\n\
         shift words\n(( CURRENT-- ))\n\
         # (-): there are no more options once the command is there; what follows is the command's.\n\
         _arguments -s -S : \\\n";
    for row in ROWS {
        let escape = |text: &str| {
            text.replace('\\', "\\\\")
                .replace('[', "\\[")
                .replace(']', "\\]")
                .replace(':', "\\:")
                .replace('\'', "'\\''")
        };
        let help = escape(row.help);
        let value = value_of(row).unwrap_or_default();
        let label = escape(value);
        let Candidates { words, paths } = candidates(value);
        let action = match (words.is_empty(), paths) {
            (false, Paths::None) => format!("({})", words.join(" ")),
            (false, _) => format!(" _alternative \"words\\:word\\:({})\" \"files\\:file\\:_files\"", words.join(" ")),
            (true, Paths::None) => String::new(),
            (true, Paths::Files | Paths::FilesBeforeColon) => "_files".to_string(),
            (true, Paths::Directories) => "_files -/".to_string(),
        };
        let names: Vec<&str> = row.names().collect();
        let excludes = if matches!(row.value, Value::Many) { "*".into() } else { format!("({})", names.join(" ")) };
        for name in names {
            let spec = match row.value {
                Value::Switch => format!("{excludes}{name}[{help}]"),
                Value::Optional => format!("{excludes}{name}=-[{help}]::{label}:{action}"),
                _ if name.starts_with("--") => format!("{excludes}{name}=[{help}]:{label}:{action}"),
                _ => format!("{excludes}{name}+[{help}]:{label}:{action}"),
            };
            script += &format!("    '{spec}' \\\n");
        }
    }
    script
        + "    '(- *)'{-h,--help}'[every option]' \\\n    '(-)1:command:_command_names -e' \\\n    '*::argument:_normal'\n"
}

/// For fish.
pub fn fish() -> String {
    let mut specs = vec!["help".to_string()];
    let mut completions = String::new();
    for row in ROWS {
        let names: Vec<&str> = row.names().map(|name| name.trim_start_matches('-')).collect();
        let (short, long): (Vec<&str>, Vec<&str>) = names.iter().partition(|name| name.len() == 1);
        let kind = match row.value {
            Value::Switch => "",
            Value::One => "=",
            Value::Many => "=+",
            Value::Optional => "=\\?",
        };
        for (at, long) in long.iter().enumerate() {
            // argparse knows one short and one long name for an option: the other long names are options of their own.
            let short = short.first().filter(|_| at == 0).map(|letter| format!("{letter}/")).unwrap_or_default();
            specs.push(format!("{short}{long}{kind}"));
        }
        completions += "complete -c mydocker -n __mydocker_option";
        for name in short {
            completions += &format!(" -s {name}");
        }
        for name in long {
            completions += &format!(" -l {name}");
        }
        if let Some(value) = value_of(row).filter(|_| takes_next_word(row)) {
            let Candidates { words, paths } = candidates(value);
            completions += &match (words.is_empty(), paths) {
                (false, _) => format!(" -x -a '{}'", words.join(" ")),
                (true, Paths::None) => " -x".to_string(),
                (true, Paths::Files | Paths::FilesBeforeColon) => " -r -F".to_string(),
                (true, Paths::Directories) => " -x -a '(__fish_complete_directories)'".to_string(),
            };
        }
        completions += &format!(" -d '{}'\n", row.help.replace('\\', "\\\\").replace('\'', "\\'"));
    }
    for verb in verbs() {
        let name = verb.name;
        let quoted = verb.help.replace('\'', "\\'");
        completions += &format!("complete -c mydocker -n __fish_use_subcommand -f -a {name} -d '{quoted}'\n");
        let names = if verb.usage.contains("NAME") { " -a '(mydocker ps -aq 2>/dev/null)'" } else { "" };
        completions += &format!("complete -c mydocker -n '__mydocker_first {name}' -f{names}\n");
        for row in verb.rows {
            completions += &format!("complete -c mydocker -n '__mydocker_first {name}'");
            for option in row.names() {
                let kind = if option.starts_with("--") { "-l" } else { "-s" };
                completions += &format!(" {kind} {}", option.trim_start_matches('-'));
            }
            completions += if takes_next_word(row) { " -x" } else { "" };
            completions += &format!(" -d '{}'\n", row.help.replace('\'', "\\'"));
        }
    }
    let names: Vec<&str> = verbs().iter().map(|verb| verb.name).collect();
    FISH.replace("@SPECS@", &specs.join(" "))
        .replace("@VERBS@", &names.join(" "))
        .replace("@TOPICS@", &topics::TOPICS.map(|topic| topic.name).join(" "))
        + &completions
}

const FISH: &str = r#"# Made by tests/manual from the rows of src/cli/options.rs.

# COMMAND and the words behind it, up to the cursor. Fails where the options have not ended.
function __mydocker_command
    set -l words (commandline -opc) (commandline -ct)
    test "$words[2]" = run; or return
    set -e words[1..2]
    argparse --stop-nonopt @SPECS@ -- $words 2>/dev/null; or return
    test (count $argv) -gt 0; and string join0 -- $argv
end

# Whether the first word is this one.
function __mydocker_first
    set -l words (commandline -opc)
    test "$words[2]" = "$argv[1]"
end

# Whether an option of run can stand at the cursor.
function __mydocker_option
    set -l words (commandline -opc)
    set -l rest (__mydocker_command | string split0)
    __mydocker_first run; and not contains -- -- $words; and test (count $rest) -le 1
end

# What can stand at the cursor where COMMAND has begun.
function __mydocker_complete_command
    set -l rest (__mydocker_command | string split0)
    test (count $rest) -gt 0; or return
    # The word at the cursor is as typed, those before it are what their quotes made of them.
    set -l typed $rest[-1]
    set -e rest[-1]
    set -l line (string join ' ' -- (string escape -- $rest) $typed)
    complete --do-complete="$line"
end

complete -c mydocker -n __fish_use_subcommand -f -a run -d 'run a command'
complete -c mydocker -n __fish_use_subcommand -f -a check -d 'what this host offers'
complete -c mydocker -n __fish_use_subcommand -f -a help -d 'help of a command, or a chapter'
complete -c mydocker -n '__mydocker_first help' -f -a 'run check @VERBS@ @TOPICS@'
complete -c mydocker -n __fish_use_subcommand -l version -d 'version, commit and target'
complete -c mydocker -n __fish_use_subcommand -s h -l help -d 'help'
complete -c mydocker -n '__mydocker_first check' -f -l json -d 'as JSON'
complete -c mydocker -n '__mydocker_first check' -f -s h -l help -d 'help'
complete -c mydocker -n __mydocker_option -l help -d 'every option'
complete -c mydocker -n '__mydocker_first run' -f -a '(__mydocker_complete_command)'
"#;

/// Each man page, by its name.
pub fn man_pages() -> Vec<(String, String)> {
    let own = [("mydocker.1", man_page()), ("mydocker-run.1", run_page()), ("mydocker-check.1", check_page())];
    let own = own.map(|(name, page)| (name.to_string(), page));
    let all =
        own.into_iter().chain(verbs().into_iter().map(|verb| (format!("mydocker-{}.1", verb.name), verb_page(&verb))));
    all.map(|(name, page)| (name, folded(&page))).collect()
}

/// The same page in lines of at most 80 bytes, as mandoc asks for, but for what is shown as it is.
fn folded(page: &str) -> String {
    let mut out = String::new();
    let mut as_it_is = false;
    for line in page.lines() {
        as_it_is = line == ".nf" || as_it_is && line != ".fi";
        let mut length = 0;
        for (at, word) in line.split(' ').enumerate() {
            let is_full = length + 1 + word.len() > 80 && !as_it_is && !line.starts_with('.');
            // A dot or a quote at the beginning of a line would be a request.
            out += match (at, is_full) {
                (0, _) => "",
                (_, false) => " ",
                (_, true) if word.starts_with(['.', '\'']) => "\n\\&",
                (_, true) => "\n",
            };
            length = if is_full { 0 } else { length + usize::from(at > 0) } + word.len();
            out += word;
        }
        out.push('\n');
    }
    out
}

/// Each file, by its name.
pub fn files() -> Vec<(String, String)> {
    let completions = [("mydocker.bash", bash()), ("_mydocker", zsh()), ("mydocker.fish", fish())];
    man_pages().into_iter().chain(completions.map(|(name, text)| (name.to_string(), text))).collect()
}
