//! Plugin folders that are named and cannot be searched.

use crate::home::Home;

/// What `named` leads to: exit 2 and a line with all `words`.
fn refused(home: &Home, arguments: &[&str], words: &[&str]) {
    let ran = home.run(arguments).finish();
    assert_eq!(ran.code, Some(2), "{arguments:?}: {}", ran.stderr);
    for word in words.iter().chain(&["hint: "]) {
        assert!(ran.stderr.contains(word), "`{word}` in: {}", ran.stderr);
    }
}

#[test]
fn a_folder_named_by_a_flag_must_be_there_in_every_command() {
    let home = Home::new();
    assert_eq!(home.train("backprop").code, Some(0));
    std::fs::write(home.path().join("file"), "").unwrap();
    let commands = [
        &["train", "c.toml", "--dry-run"][..],
        &["eval", "run-backprop"],
        &["rules", "list"],
        &["rules", "describe", "backprop"],
        &["config", "show", "c.toml"],
        &["doctor"],
        &["quickstart"],
        &["bench", "step"],
    ];
    for command in commands {
        for (folder, what) in [("absent", "is not there"), ("file", "is a file")] {
            let arguments = [command, &["--plugins", folder]].concat();
            refused(&home, &arguments, &["`--plugins`", folder, what]);
        }
        // Also beside one that is there.
        let arguments = [command, &["--plugins", "p", "--plugins", "absent"]].concat();
        refused(&home, &arguments, &["`absent`", "is not there"]);
    }
}

#[test]
fn a_folder_named_by_a_configuration_must_be_there() {
    let home = Home::new();
    assert_eq!(home.train("backprop").code, Some(0));
    let config = home.path().join("c.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(
        &config,
        format!("plugin_folders = [\"p\", \"absent\"]\n{text}"),
    )
    .unwrap();
    let words = ["`plugin_folders`", "c.toml", "`absent`", "is not there"];
    refused(&home, &["train", "c.toml", "--run-dir", "r"], &words);
    refused(&home, &["config", "show", "c.toml"], &words);
    assert!(!home.path().join("r").exists(), "nothing has begun");
    let set = [
        "train",
        "c.toml",
        "--dry-run",
        "--set",
        "plugin_folders=[\"p\"]",
    ];
    let ran = home.run(&set).finish();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}

#[test]
fn a_folder_named_by_the_environment_is_warned_about() {
    let home = Home::new();
    for command in [&["rules", "list"][..], &["doctor"]] {
        let ran = home
            .run(command)
            .env("BIORULE_PLUGIN_PATH", "p:absent:")
            .finish();
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let warnings: Vec<&str> = ran.stderr.lines().collect();
        assert_eq!(warnings.len(), 1, "{}", ran.stderr);
        for words in [
            "warning: ",
            "`absent`",
            "`BIORULE_PLUGIN_PATH`",
            "is not there",
        ] {
            assert!(warnings[0].contains(words), "{}", warnings[0]);
        }
        let row = ran
            .stdout
            .lines()
            .find(|l| l.contains("absent is not there"));
        let is_doctor = command[0] == "doctor";
        assert_eq!(row.is_some_and(|l| l.contains("BROKEN")), is_doctor);
    }
}
