//! What users read and type: examples in help that work, numbers of flags, and plain text where
//! nobody looks at a terminal.

use biorule::config::readers;

use crate::harness::Run;

const NET: &str = r#"
data = "digits"
[[blocks]]
name = "readout"
layer = "dense"
out = "classes"
rule = "backprop"
"#;

/// The help of `biorule WORDS` and of every command below it, each with its words.
fn help(words: &str, found: &mut Vec<(String, String)>) {
    let text = Run::new(&format!("{words} --help")).done(0).stdout;
    let commands = text.split("Commands:\n").nth(1).unwrap_or_default();
    let commands = commands.split("\n\n").next().unwrap_or_default();
    for line in commands.lines() {
        // Continued lines of a description are indented further.
        let name = line
            .strip_prefix("  ")
            .filter(|rest| !rest.starts_with(' '));
        let name = name.and_then(|rest| rest.split_whitespace().next());
        if let Some(name) = name.filter(|name| *name != "help") {
            help(format!("{words} {name}").trim(), found);
        }
    }
    found.push((words.to_owned(), text));
}

/// The paths that `text` sets, as `--set a.b=c`, `a.b=c` in words, or an environment variable.
fn paths(text: &str) -> Vec<String> {
    let part = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let mut found = Vec::new();
    for (at, _) in text.match_indices('=') {
        let word = text[..at]
            .rsplit(|c: char| !part(c))
            .next()
            .unwrap_or_default();
        let flag = text[..at - word.len()].ends_with("--set ");
        if let Some(rest) = word.strip_prefix("BIORULE__") {
            found.push(rest.to_lowercase().replace("__", "."));
        } else if flag || (word.contains('.') && !word.starts_with(['.', '-'])) {
            found.push(word.to_owned());
        }
    }
    found
}

#[test]
fn examples_in_help_set_what_exists() {
    let mut texts = Vec::new();
    help("", &mut texts);
    assert!(texts.len() > 20, "{} commands", texts.len());
    let mut seen = 0;
    let study = Run::new("sweep reference").done(0).stdout;
    for (command, text) in &texts {
        for path in paths(text) {
            seen += 1;
            // Options of a generated set, one by one.
            let path = match command.starts_with("data") && !path.contains('.') {
                true => format!("data.options.{path}"),
                false => path,
            };
            // A study has settings of its own, and a configuration inside.
            let inside = path.strip_prefix("config.");
            let exists = match inside {
                None if command.starts_with("sweep") => study.contains(&format!("| `{path}` |")),
                inside => readers::exists(inside.unwrap_or(&path)),
            };
            assert!(exists, "`{command} --help`: `{path}`");
        }
    }
    assert!(seen > 5, "{seen} examples");
    assert_eq!(
        paths("such as `data.folder=x`, --set seed=3"),
        ["data.folder", "seed"]
    );
    assert!(!readers::exists("data.folder"));
}

#[test]
fn examples_in_the_documents_set_what_exists() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../");
    for page in [
        "README.md",
        "docs/configuration.md",
        "docs/data.md",
        "docs/run-folder.md",
    ] {
        let text = std::fs::read_to_string(format!("{root}{page}")).unwrap();
        for (at, flag) in text.match_indices("--set ") {
            let rest = &text[at + flag.len()..];
            let end = rest.find(['=', '`', ' ', '\n']).unwrap_or(rest.len());
            if rest[end..].starts_with('=') && rest[..end] != *"a.b" {
                assert!(readers::exists(&rest[..end]), "{page}: `{}`", &rest[..end]);
            }
        }
    }
}

#[test]
fn seeds_are_what_is_typed_or_refused() {
    for (text, seed) in [("3", "3"), ("1_000", "1000"), ("1e3", "1000"), ("+4", "4")] {
        let run = Run::new(&format!("config show --offline net.toml --seed {text}"));
        let shown = run.file("net.toml", NET).done(0).stdout;
        assert!(shown.contains(&format!("seeds = [{seed}]\n")), "{shown}");
    }
    let largest = i64::MAX.to_string();
    let run = Run::new(&format!("config show --offline net.toml --seed {largest}"));
    assert!(run.file("net.toml", NET).done(0).stdout.contains(&largest));
    for text in [
        "9223372036854775808",
        "18446744073709551615",
        "-1",
        "1.5",
        "x",
        "1e30",
    ] {
        let run = Run::new(&format!("config show --offline net.toml --seed {text}"));
        let run = run.file("net.toml", NET).done(2);
        assert!(run.stderr.contains("--seed"), "{text}: {}", run.stderr);
        assert!(run.stderr.contains(&largest), "{text}: {}", run.stderr);
    }
}

#[test]
fn nothing_is_coloured_in_a_pipe() {
    let calls = [
        ("--help", 0),
        ("train --help", 0),
        ("trian", 2),
        ("train --bogus", 2),
        ("config show --offline net.toml", 0),
        (
            "config show --offline net.toml --set blocks.readout.rule=bp",
            4,
        ),
        ("config presets", 0),
        ("data list", 0),
        ("runs list", 0),
        ("rules list", 0),
    ];
    for (call, code) in calls {
        for (name, value) in [("TERM", "xterm-256color"), ("NO_COLOR", "1")] {
            let run = Run::new(call)
                .file("net.toml", NET)
                .environment("RUST_LOG", "trace")
                .environment(name, value)
                .done(code);
            for text in [&run.stdout, &run.stderr] {
                assert!(!text.contains('\u{1b}'), "{call} with {name}: {text:?}");
            }
        }
        // No wish for colours beats the wish for them.
        let run = Run::new(call)
            .file("net.toml", NET)
            .environment("RUST_LOG", "trace")
            .environment("CLICOLOR_FORCE", "1")
            .environment("NO_COLOR", "1")
            .done(code);
        assert!(!run.stderr.contains('\u{1b}'), "{call}: {:?}", run.stderr);
    }
    let forced = Run::new("trian").environment("CLICOLOR_FORCE", "1").done(2);
    assert!(forced.stderr.contains('\u{1b}'), "{:?}", forced.stderr);
}

#[test]
fn flags_and_variables_that_nothing_reads_are_said() {
    let stderr = Run::new("config show --offline net.toml")
        .file("net.toml", NET)
        .environment("BIORULE_TRAINING_GRADIENT_EPOCHS", "3")
        .environment("BIORULE_DATA", "x")
        .done(0)
        .stderr;
    let meant = "warning: the environment variable `BIORULE_TRAINING_GRADIENT_EPOCHS`";
    assert!(stderr.contains(meant), "{stderr}");
    assert!(
        stderr.contains("`BIORULE__TRAINING__GRADIENT__EPOCHS`"),
        "{stderr}"
    );
    assert_eq!(stderr.matches("warning: ").count(), 1, "{stderr}");
}

#[test]
fn presets_say_what_is_missing() {
    let list = Run::new("config presets").done(0).stdout;
    let line = |name: &str| {
        let line = list
            .lines()
            .find(|l| l.split_whitespace().next() == Some(name));
        line.unwrap_or_else(|| panic!("no `{name}` in {list}"))
    };
    for preset in biorule::config::presets::list() {
        let missing = biorule::config::presets::missing_sets(&preset.name).unwrap();
        for set in &missing {
            assert!(
                line(&preset.name).contains(&format!("`{set}`")),
                "{}",
                preset.name
            );
        }
        let marked = line(&preset.name).contains("not supported yet");
        assert_eq!(marked, !missing.is_empty(), "{}", preset.name);
    }
    assert!(!line("softhebb/2SoftHebbCnnCIFAR").contains("not supported"));
}
