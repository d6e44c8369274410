//! The real binary as a user runs it: exit codes, what goes to which stream,
//! configuration from every layer.

mod harness;
#[path = "cli/words.rs"]
mod words;

use harness::Run;

const NET: &str = r#"
data = "digits"
[[blocks]]
layer = "conv"
kernel = 3
padding = "same"
out = 4
rule = { name = "softhebb", lr = 0.08 }
[[blocks]]
name = "classifier"
layer = "dense"
out = "classes"
rule = "backprop"
"#;

#[test]
fn help_and_version_are_results() {
    for arg in ["--help", "--version", "train --help", "config show --help"] {
        let run = Run::new(arg).done(0);
        assert!(run.stdout.contains("biorule"), "{arg}: {}", run.stdout);
        assert_eq!(run.stderr, "");
    }
    assert!(
        Run::new("train --help")
            .done(0)
            .stdout
            .contains("Examples:")
    );
}

#[test]
fn bad_flags_exit_2() {
    for args in [
        "",
        "trian",
        "train --bogus",
        "train",
        "eval",
        "completions tcsh",
    ] {
        let run = Run::new(args).done(2);
        assert_eq!(run.stdout, "", "{args}");
        assert_ne!(run.stderr, "", "{args}");
    }
}

#[test]
fn errors_are_facts_then_a_hint() {
    let run = Run::new("config show --offline net.toml --set blocks.conv1.drpout=1")
        .file("net.toml", NET)
        .done(2);
    assert_eq!(
        run.stderr,
        "error: unknown key `drpout` in `blocks.conv1` (from `--set blocks.conv1.drpout`)\n\
         hint: did you mean `dropout`?\n"
    );
    let run = Run::new("config show --offline none.toml").done(2);
    assert!(
        run.stderr
            .starts_with("error: configuration: `none.toml`: "),
        "{}",
        run.stderr
    );
    let run = Run::new("config show --offline bad.toml")
        .file("bad.toml", "a = = 1\n")
        .done(2);
    assert!(
        run.stderr.contains("file `bad.toml`") && run.stderr.contains("line 1"),
        "{}",
        run.stderr
    );
}

#[test]
fn an_unknown_rule_exits_4() {
    let run = Run::new("config show --offline net.toml --set blocks.0.rule=softheb")
        .file("net.toml", NET)
        .done(4);
    assert!(
        run.stderr.contains("hint: did you mean `softhebb`?"),
        "{}",
        run.stderr
    );
}

#[test]
fn origins_are_shown_and_the_output_is_a_configuration() {
    let shown = Run::new("config show --offline --origin net.toml --seed 4")
        .file("net.toml", NET)
        .environment("BIORULE__OUTPUT__LOG_EVERY", "7")
        .done(0)
        .stdout;
    let line = |start: &str| {
        let line = shown.lines().find(|l| l.starts_with(start));
        line.unwrap_or_else(|| panic!("no `{start}` in {shown}"))
            .to_owned()
    };
    assert!(line("seeds = [4]").ends_with("# `--seed`"));
    assert!(line("log_every = 7").ends_with("# environment `BIORULE__OUTPUT__LOG_EVERY`"));
    assert!(line("lr = 0.08").ends_with("# file `net.toml:8`"));
    assert!(line("tf32 = false").ends_with("# default"));
    let plain = |text: &str, name: &str| {
        let args = format!("config show --offline {name}");
        Run::new(&args).file(name, text).done(0).stdout
    };
    let again = plain(&shown, "net.toml");
    assert_eq!(plain(&again, "net.toml"), again);
}

#[test]
fn json_has_paths_values_and_origins() {
    let run = Run::new("config show --offline --json net.toml")
        .file("net.toml", NET)
        .done(0);
    let json: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let settings = json["settings"].as_array().unwrap();
    let lr = settings
        .iter()
        .find(|s| s["path"] == "blocks.conv1.rule.lr")
        .unwrap();
    assert_eq!(lr["value"], 0.08);
    assert_eq!(lr["origin"], "file `net.toml:8`");
    assert_eq!(json["hash"].as_str().unwrap().len(), 64);
}

#[test]
fn a_closed_pipe_is_a_success() {
    use std::process::Stdio;
    let mut child = Run::new("config reference")
        .command()
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = Run::new(&format!("completions {shell}")).done(0).stdout;
        assert!(
            script.contains("compare") && script.contains("run-dir"),
            "{shell}"
        );
    }
}

#[test]
fn presets_are_listed_and_printed() {
    let list = Run::new("config presets").done(0).stdout;
    assert!(list.contains("softhebb/4SoftHebbCnnCIFAR"));
    let text = Run::new("config presets softhebb/2SoftHebbCnnCIFAR")
        .done(0)
        .stdout;
    let from_file = Run::new("config show --offline p.toml").file("p.toml", &text);
    let by_name = Run::new("config show --offline --preset softhebb/2SoftHebbCnnCIFAR");
    assert_eq!(from_file.done(0).stdout, by_name.done(0).stdout);
    Run::new("config presets softhebb/none").done(2);
}

#[test]
fn shipped_configurations_resolve() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs");
    let mut found = 0;
    let mut folders = vec![root];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                // Studies are configurations of another kind: `tests/sweeps` has them.
                if !path.ends_with("sweep") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|e| e == "toml") {
                let run = Run::new("config show --offline").argument(&path);
                assert!(
                    run.done(0).stdout.contains("[[phases]]"),
                    "{}",
                    path.display()
                );
                found += 1;
            }
        }
    }
    assert!(found >= 3);
}

#[test]
fn runs_are_listed_with_how_they_ended() {
    let run = r#"{"id":"abc123","name":"n","argv":[],"seed":1,"config_hash":"h",
        "versions":{"biorule":"0","folder":1},"git":null,
        "host":{"name":"h","system":"s","processor":null,"threads":1},
        "device":"cpu","plugins":[],"started":"2026-01-01T00:00:00Z","starts":1,
        "ended":null,"exit_reason":REASON,"results":{"test/accuracy":ACCURACY}}"#;
    let record =
        |reason: &str, accuracy: &str| run.replace("REASON", reason).replace("ACCURACY", accuracy);
    let folder = |args: &str| {
        Run::new(args)
            .file("runs/n/a/seed-0/run.json", &record("\"finished\"", "0.5"))
            .file("runs/n/a/seed-1/run.json", &record("\"finished\"", "0.7"))
            .file("runs/m/b/run.json", &record("null", "0.1"))
    };
    let list = folder("runs list").done(0).stdout;
    assert!(
        list.contains("interrupted") && list.contains("70.00 %"),
        "{list}"
    );
    let compared = folder("runs compare runs/n --json").done(0).stdout;
    let json: serde_json::Value = serde_json::from_str(&compared).unwrap();
    let result = &json[0]["results"][0];
    assert!((result["mean"].as_f64().unwrap() - 0.6).abs() < 1e-12);
    let shown = folder("runs show runs/n/a/seed-1").done(0).stdout;
    assert!(shown.contains("test/accuracy = 0.7"), "{shown}");
    folder("runs show runs/n").done(2);
    Run::new("runs compare nowhere").done(2);
}

#[test]
fn eval_of_nothing_exits_2() {
    let run = Run::new("eval runs/none").done(2);
    assert!(run.stderr.contains("is not there"), "{}", run.stderr);
}
