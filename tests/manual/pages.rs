//! The man page and the completions, generated from the table that `mydocker run --help` and the normaliser come from.

/// The text that `mydocker run --help` prints.
const HELP: &str = include_str!("../../src/texts/run");

/// One option as the help shows it.
pub struct Described {
    /// The heading that it is listed under.
    pub group: String,
    /// `-m`, `--memory-limit` ...
    pub names: Vec<String>,
    /// Its value as the help writes it: `BYTES`, `none|host`; empty for a switch.
    pub value: Option<String>,
    /// The value is optional, and must follow a `=`.
    pub optional: bool,
    /// The option may be given several times.
    pub many: bool,
    /// What the option does.
    pub help: String,
}

/// Every option of a help text.
pub fn options(help: &str) -> Vec<Described> {
    let mut group = String::new();
    let mut found = Vec::new();
    for line in help.lines() {
        if let Some(heading) = line.strip_suffix(':').filter(|heading| !heading.contains(' ')) {
            group = heading.to_string();
        }
        let Some(row) = line.strip_prefix("  ") else { continue };
        let (words, explanation) = row.trim_start().split_once("  ").expect("two columns");
        let (words, optional) = match words.split_once("[=") {
            Some((names, value)) => (format!("{names} {}", value.trim_end_matches(']')), true),
            None => (words.to_string(), false),
        };
        let mut names = Vec::new();
        let mut value = None;
        for word in words.split(' ') {
            match word.trim_end_matches(',') {
                name if name.starts_with('-') => names.push(name.to_string()),
                other => value = Some(other.to_string()),
            }
        }
        let many = value.as_ref().is_some_and(|value| value.ends_with("..."));
        let value = value.map(|value| value.trim_end_matches("...").to_string());
        let help = explanation.trim().to_string();
        found.push(Described { group: group.clone(), names, value, optional, many, help });
    }
    found
}

/// The parts of the help that are not options: the text before the first heading and after the last option.
fn paragraphs() -> Vec<String> {
    let plain = |part: &&str| !part.lines().any(|line| line.starts_with("  ")) && !part.starts_with("Usage:");
    HELP.split("\n\n").filter(plain).map(|part| part.trim().replace('\n', " ")).collect()
}

/// Text for troff: a line must not begin with a dot or a quote, a backslash is written `\e`, a literal dash `\-`.
fn troff(text: &str) -> String {
    let escaped = text.replace('\\', "\\e").replace('-', "\\-");
    escaped
        .lines()
        .map(|line| if line.starts_with(['.', '\'']) { format!("\\&{line}\n") } else { format!("{line}\n") })
        .collect()
}

/// The page mydocker(1).
pub fn man_page() -> String {
    let mut page = String::from(
        ".\\\" Made by tests/manual from the table of options.\n\
         .TH MYDOCKER 1 \"\" \"mydocker\" \"User Commands\"\n\
         .SH NAME\nmydocker \\- run a command in its own namespaces, under cgroup limits\n\
         .SH SYNOPSIS\n\
         .B mydocker run\n[\\fIOPTIONS\\fR] \\fICOMMAND\\fR [\\fIARG\\fR...]\n.br\n\
         .B mydocker check\n[\\fB\\-\\-json\\fR]\n.br\n\
         .B mydocker\n\\fB\\-\\-help\\fR | \\fB\\-\\-version\\fR\n\
         .SH DESCRIPTION\n",
    );
    for paragraph in paragraphs().iter().filter(|part| !part.starts_with("Status:")) {
        page += &troff(paragraph);
        page += ".PP\n";
    }
    page += &troff(
        "mydocker check says what this host offers, a line for each feature; if one does not work, with the reason and how to \
         fix it. It ends with 0 if run works without options.",
    );
    page += ".SH OPTIONS\n";
    let mut group = String::new();
    for option in options(HELP) {
        if option.group != group {
            group = option.group.clone();
            page += &format!(".SS {group}\n");
        }
        let names: Vec<String> =
            option.names.iter().map(|name| format!("\\fB{}\\fR", troff(name).trim_end())).collect();
        let value = option.value.as_deref().map(|value| troff(value).trim_end().to_string()).unwrap_or_default();
        let value = match (value.as_str(), option.optional) {
            ("", _) => String::new(),
            (value, true) => format!("[=\\fI{value}\\fR]"),
            (value, false) => format!(" \\fI{value}\\fR"),
        };
        let many = if option.many { "..." } else { "" };
        page += &format!(".TP\n{}{value}{many}\n{}", names.join(", "), troff(&option.help));
    }
    page += ".SH EXIT STATUS\n.TP\nthe command's own\nit exited\n.TP\n128 + n\nsignal n ended it\n.TP\n125\nmydocker itself failed, \
             and nothing was run\n.TP\n126\nthe command was found and cannot be executed\n.TP\n127\nthe command was not found\n";
    page += ".SH SEE ALSO\n.BR namespaces (7),\n.BR cgroups (7),\n.BR capabilities (7),\n.BR unshare (1)\n";
    page
}

/// What kind of value an option takes, for completion.
enum Kind {
    File,
    Directory,
    Words(String),
    Other,
}

fn kind(value: &str) -> Kind {
    match value {
        "FILE" | "PATH" => Kind::File,
        "DIR" => Kind::Directory,
        words if words.chars().all(|c| c.is_ascii_lowercase() || c == '|') => Kind::Words(words.replace('|', " ")),
        _ => Kind::Other,
    }
}

/// The names of options that take the next word as their value.
fn with_value() -> Vec<String> {
    options(HELP).into_iter().filter(|o| o.value.is_some() && !o.optional).flat_map(|o| o.names).collect()
}

/// For bash.
pub fn bash() -> String {
    let mut all = Vec::new();
    let mut cases = String::new();
    for option in options(HELP) {
        for name in &option.names {
            all.push(if option.optional { format!("{name} {name}=") } else { name.clone() });
        }
        let Some(value) = option.value.as_deref().filter(|_| !option.optional) else { continue };
        let reply = match kind(value) {
            Kind::File => "compgen -f -- \"$cur\"".to_string(),
            Kind::Directory => "compgen -d -- \"$cur\"".to_string(),
            Kind::Words(words) => format!("compgen -W '{words}' -- \"$cur\""),
            Kind::Other => continue,
        };
        cases += &format!("        {}) mapfile -t COMPREPLY < <({reply}); return ;;\n", option.names.join("|"));
    }
    format!(
        "# Made by tests/manual from the table of options.\n\
         _mydocker() {{\n\
         \x20   local cur=${{COMP_WORDS[COMP_CWORD]}} at=2\n\
         \x20   COMPREPLY=()\n\
         \x20   if ((COMP_CWORD == 1)); then\n\
         \x20       mapfile -t COMPREPLY < <(compgen -W 'run check --help --version' -- \"$cur\")\n\
         \x20       return\n\
         \x20   fi\n\
         \x20   case ${{COMP_WORDS[1]}} in\n\
         \x20   check) mapfile -t COMPREPLY < <(compgen -W '--json --help' -- \"$cur\"); return ;;\n\
         \x20   run) ;;\n\
         \x20   *) return ;;\n\
         \x20   esac\n\
         \x20   # Options end at the command; what follows is the command's.\n\
         \x20   while ((at < COMP_CWORD)); do\n\
         \x20       case ${{COMP_WORDS[at]}} in\n\
         \x20       {}) ((at += 2)) ;;\n\
         \x20       --) ((at += 1)); break ;;\n\
         \x20       -*) ((at += 1)) ;;\n\
         \x20       =) ((at += 2)) ;;\n\
         \x20       *) break ;;\n\
         \x20       esac\n\
         \x20   done\n\
         \x20   if ((at < COMP_CWORD)); then\n\
         \x20       mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n\
         \x20       return\n\
         \x20   fi\n\
         \x20   if ((at > COMP_CWORD)); then\n\
         \x20       case ${{COMP_WORDS[COMP_CWORD - 1]}} in\n\
         {cases}\
         \x20       *) return ;;\n\
         \x20       esac\n\
         \x20   fi\n\
         \x20   case $cur in\n\
         \x20   -*) mapfile -t COMPREPLY < <(compgen -W '{} -h --help' -- \"$cur\") ;;\n\
         \x20   *) mapfile -t COMPREPLY < <(compgen -c -- \"$cur\") ;;\n\
         \x20   esac\n\
         }}\n\
         complete -o filenames -F _mydocker mydocker\n",
        with_value().join("|"),
        all.join(" ")
    )
}

/// For zsh.
pub fn zsh() -> String {
    let mut script = String::from(
        "#compdef mydocker\n# Made by tests/manual from the table of options.\n\
         if (( CURRENT == 2 )); then\n    compadd run check --help --version\n    return\nfi\n\
         case $words[2] in\ncheck) compadd -- --json --help; return ;;\nrun) ;;\n*) return ;;\nesac\n\
         shift words\n(( CURRENT-- ))\n_arguments -S -s : \\\n",
    );
    for option in options(HELP) {
        let help = option
            .help
            .replace('\\', "\\\\")
            .replace('[', "\\[")
            .replace(']', "\\]")
            .replace(':', "\\:")
            .replace('\'', "'\\''");
        let action = |value: &str| match kind(value) {
            Kind::File => "_files".to_string(),
            Kind::Directory => "_files -/".to_string(),
            Kind::Words(words) => format!("({words})"),
            Kind::Other => String::new(),
        };
        let others = if option.many { "*".to_string() } else { format!("({})", option.names.join(" ")) };
        for name in &option.names {
            let value = option.value.as_deref().unwrap_or_default();
            let label = value.replace(':', "\\:");
            script += &match (value, option.optional) {
                ("", _) => format!("    '{others}{name}[{help}]' \\\n"),
                (_, true) => format!("    '{others}{name}=-[{help}]::{label}:{}' \\\n", action(value)),
                (_, false) if name.starts_with("--") => {
                    format!("    '{others}{name}=[{help}]:{label}:{}' \\\n", action(value))
                }
                (_, false) => format!("    '{others}{name}+[{help}]:{label}:{}' \\\n", action(value)),
            };
        }
    }
    script
        + "    '(- *)'{-h,--help}'[every option]' \\\n    '(-)1:command:_command_names -e' \\\n    '*::argument:_normal'\n"
}

/// For fish.
pub fn fish() -> String {
    let mut script = String::from(
        "# Made by tests/manual from the table of options.\n\
         complete -c mydocker -n __fish_use_subcommand -f -a run -d 'run a command'\n\
         complete -c mydocker -n __fish_use_subcommand -f -a check -d 'what this host offers'\n\
         complete -c mydocker -n __fish_use_subcommand -l version -d 'version, commit and target'\n\
         complete -c mydocker -s h -l help -d 'help'\n\
         complete -c mydocker -n '__fish_seen_subcommand_from check' -f -l json -d 'as JSON'\n",
    );
    for option in options(HELP) {
        script += "complete -c mydocker -n '__fish_seen_subcommand_from run'";
        for name in &option.names {
            script += &match name.strip_prefix("--") {
                Some(long) => format!(" -l {long}"),
                None => format!(" -s {}", name.trim_start_matches('-')),
            };
        }
        if let Some(value) = option.value.as_deref().filter(|_| !option.optional) {
            script += &match kind(value) {
                Kind::File => " -r -F".to_string(),
                Kind::Directory => " -x -a '(__fish_complete_directories)'".to_string(),
                Kind::Words(words) => format!(" -x -a '{words}'"),
                Kind::Other => " -x".to_string(),
            };
        }
        script += &format!(" -d '{}'\n", option.help.replace('\\', "\\\\").replace('\'', "\\'"));
    }
    script
}

/// Each generated file, by its name.
pub fn files() -> [(&'static str, String); 4] {
    [("mydocker.1", man_page()), ("mydocker.bash", bash()), ("_mydocker", zsh()), ("mydocker.fish", fish())]
}
