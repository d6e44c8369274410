//! Broken plugins: each is refused or stopped with the file, the reason and a
//! hint, and the host goes on with the rest.

use std::path::Path;
use std::process::{Command, Output};

use biorule::config::{LayerPlan, MapPlan, ParamValue};
use biorule::nn::rule::{Activity, Errors, LayerShape, Rule, RuleCall, RuleSource as _};
use biorule::plugins::Registry;
use biorule::plugins::discover::Folder;
use biorule_plugin_api::abi::abi_stable::library::{AbiHeader, ROOT_MODULE_LOADER_NAME};
use biorule_test_environment::{Need, skip};
use biorule_tests::plugins::{Run, compile_plugin, library, plugin_folder, specimen};
use candle_core::{DType, Device, Tensor};
use serde_json::Value;

/// What `rules list` says of a folder with a good plugin and the broken one made by `make`.
fn listed(specimen_mode: &str, make: impl FnOnce(&Path)) -> (Vec<String>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path());
    std::fs::copy(library("biorule_krotov"), folder.path().join("libgood.so")).unwrap();
    // A folder of its own for the binary, so that the shipped plugins are not beside it.
    let home = tempfile::tempdir().unwrap();
    let binary = home.path().join("biorule");
    std::fs::copy(plugin_folder().join("biorule"), &binary).unwrap();
    let mut command = Command::new(&binary);
    command
        .args(["rules", "list", "--json", "--plugins"])
        .arg(folder.path())
        .env("BIORULE_SPECIMEN", specimen_mode)
        .env_remove("BIORULE_PLUGIN_PATH");
    let ran = patiently(&mut command);
    let stderr = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "the host goes on: {stderr}");
    let json: Value = serde_json::from_slice(&ran.stdout).unwrap();
    let text = |v: &Value| v.as_str().unwrap_or_default().to_string();
    let rules = json["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| text(&r["name"]))
        .collect();
    let refused = json["refused"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| {
            format!(
                "{} | {} | {}",
                text(&r["path"]),
                text(&r["error"]),
                text(&r["hint"])
            )
        })
        .collect();
    (rules, refused)
}

/// Runs a freshly copied program. Another test's child may hold the copy open for writing
/// until it has started its own program.
fn patiently(command: &mut Command) -> Output {
    for _ in 0..500 {
        match command.output() {
            Err(e) if e.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            other => return other.unwrap(),
        }
    }
    panic!("the copied program stayed busy");
}

/// The specimen, told at load to be `mode`, is refused for a reason with all of `words`.
fn refused(mode: &str, words: &[&str]) {
    let (rules, refused) = listed(mode, |folder| {
        std::fs::copy(specimen("modes"), folder.join("libbad.so")).unwrap();
    });
    assert_eq!(rules, ["krotov"], "{mode}: the good plugin is still there");
    assert_eq!(refused.len(), 1, "{mode}: {refused:?}");
    for word in words.iter().chain(&["libbad.so"]) {
        assert!(
            refused[0].contains(word),
            "{mode}: `{word}` missing in: {}",
            refused[0]
        );
    }
    assert!(
        !refused[0].trim_end().ends_with('|'),
        "{mode}: a hint is given: {}",
        refused[0]
    );
}

#[test]
fn a_specimen_told_nothing_is_a_good_plugin() {
    let (rules, refused) = listed("good", |folder| {
        std::fs::copy(specimen("modes"), folder.join("libspecimen.so")).unwrap();
    });
    assert_eq!(
        (rules.as_slice(), refused.len()),
        (["krotov".to_string(), "specimen".into()].as_slice(), 0),
        "{refused:?}"
    );
}

#[test]
fn a_plugin_built_against_an_older_table_loads() {
    let (rules, refused) = listed("older", |folder| {
        std::fs::copy(specimen("modes"), folder.join("libspecimen.so")).unwrap();
    });
    assert!(rules.contains(&"specimen".to_string()), "{refused:?}");
}

#[test]
fn a_plugin_whose_interface_knows_a_newer_op_loads() {
    // Whether its rules call the op shows when they do: `tests/rules_new.rs`.
    let (rules, refused) = listed("newer", |folder| {
        std::fs::copy(specimen("modes"), folder.join("libspecimen.so")).unwrap();
    });
    assert!(rules.contains(&"specimen".to_string()), "{refused:?}");
}

#[test]
fn an_op_with_another_signature_is_refused() {
    refused("other-op", &["op 3", "rebuild"]);
}

#[test]
fn another_interface_version_is_refused() {
    refused("other-api", &["interface 0.2.0", "rebuild"]);
}

#[test]
fn a_plugin_whose_panics_abort_is_refused() {
    refused("abort", &["panic", "abort", "profile"]);
}

/// A shipped plugin, really compiled with `panic=abort`; and, so that nothing else can be the
/// reason, compiled in the same way without it.
#[test]
fn a_plugin_built_with_panic_abort_is_refused_and_a_run_that_needs_it_exits_4() {
    if std::env::var_os("BIORULE_TEST_PLUGINS").is_some() {
        return skip(
            Need::Build,
            "without the build's own files a plugin cannot be compiled again",
        );
    }
    let config = "name = \"t\"\n[data]\nset = \"digits\"\n[[blocks]]\nname = \"hidden\"\nflatten = true\n\
         layer = \"dense\"\nout = 4\nrule = \"hebbian/oja\"\n[[blocks]]\nname = \"out\"\nlayer = \"dense\"\n\
         out = \"classes\"\nrule = \"backprop\"\n[training]\nmode = \"successive\"\n";
    for (flags, code) in [(&["-C", "panic=abort"][..], 4), (&[][..], 0)] {
        let folder = tempfile::tempdir().unwrap();
        let plugins = folder.path().join("plugins");
        std::fs::create_dir(&plugins).unwrap();
        let plugin = plugins.join("libagain.so");
        compile_plugin("hebbian", flags, &plugin);
        std::fs::copy(library("biorule_backprop"), plugins.join("libbackprop.so")).unwrap();
        std::fs::copy(
            plugin_folder().join("biorule"),
            folder.path().join("biorule"),
        )
        .unwrap();
        std::fs::write(folder.path().join("c.toml"), config).unwrap();
        let mut train = Command::new(folder.path().join("biorule"));
        train
            .current_dir(folder.path())
            .args(["train", "c.toml", "--set", "training.local.epochs=1"])
            .args(["--set", "training.gradient.epochs=1", "--plugins"])
            .arg(&plugins)
            .env_remove("BIORULE_PLUGIN_PATH");
        let ran = patiently(&mut train);
        let stderr = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(code), "{flags:?}: {stderr}");
        if code == 4 {
            for words in [
                "`hebbian/oja`",
                "libagain.so",
                "built with `panic = \"abort\"`",
            ] {
                assert!(stderr.contains(words), "`{words}` missing in: {stderr}");
            }
        }
    }
}

#[test]
fn an_error_in_init_is_told() {
    refused("error-init", &["the specimen refuses to start"]);
}

#[test]
fn a_panic_in_init_is_told() {
    refused("panic-init", &["the specimen was told to panic"]);
}

#[test]
fn a_panic_while_loading_is_told() {
    refused("panic-load", &["panicked"]);
}

#[test]
fn a_plugin_without_rules_is_refused() {
    refused("no-rules", &["no rule", "export_rules!"]);
}

#[test]
fn another_layout_is_refused() {
    let (rules, refused) = listed("", |folder| {
        std::fs::copy(specimen("layout"), folder.join("libbad.so")).unwrap();
    });
    assert_eq!(rules, ["krotov"]);
    assert!(
        refused[0].contains("laid out otherwise") && refused[0].contains("rebuild"),
        "{refused:?}"
    );
    assert!(
        refused[0].len() < 600,
        "the whole layout report is for the log: {}",
        refused[0]
    );
}

#[test]
fn a_file_that_is_no_library_is_refused() {
    let (rules, refused) = listed("", |folder| {
        std::fs::write(folder.join("libbad.so"), "not a library").unwrap()
    });
    assert_eq!(rules, ["krotov"]);
    assert!(
        refused[0].contains("opening the library") && refused[0].contains("libbad.so"),
        "{refused:?}"
    );
}

/// Compiles C source to `folder/libbad.so`.
fn compile(folder: &Path, source: &str) {
    let file = folder.join("bad.c");
    std::fs::write(&file, source).unwrap();
    let done = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(folder.join("libbad.so"))
        .arg(&file)
        .status()
        .unwrap();
    assert!(done.success());
}

#[test]
fn a_library_without_the_plugin_symbol_is_refused() {
    let (_, refused) = listed("", |folder| {
        compile(folder, "int nothing(void) { return 0; }\n")
    });
    assert!(
        refused[0].contains("plugin symbol is absent") && refused[0].contains("cdylib"),
        "{refused:?}"
    );
}

/// C source of a header with this magic text and version.
fn header(magic: &[u8; 32], major: u32, minor: u32) -> String {
    let bytes: Vec<String> = magic.iter().map(ToString::to_string).collect();
    format!(
        "struct {{ unsigned char magic[32]; unsigned major, minor; void *rest[64]; }} {ROOT_MODULE_LOADER_NAME} = {{ {{ {} }}, {major}, {minor} }};\n",
        bytes.join(", ")
    )
}

#[test]
fn a_wrong_magic_text_is_refused() {
    let (_, refused) = listed("", |folder| {
        compile(folder, &header(b"something else entirely, no magi", 0, 11))
    });
    assert!(
        refused[0].contains("magic") && refused[0].contains("something else"),
        "{refused:?}"
    );
}

#[test]
fn another_version_of_the_abi_is_refused_with_both_versions() {
    let ours = AbiHeader::VALUE;
    let (_, refused) = listed("", |folder| {
        compile(
            folder,
            &header(&ours.magic_string, ours.abi_major, ours.abi_minor + 1),
        )
    });
    let (there, here) = (
        format!("{}.{}", ours.abi_major, ours.abi_minor + 1),
        format!("{}.{}", ours.abi_major, ours.abi_minor),
    );
    assert!(
        refused[0].contains(&there) && refused[0].contains(&here),
        "{refused:?}"
    );
}

#[test]
fn two_plugins_with_the_same_rule_name_both_named() {
    let (rules, refused) = listed("", |folder| {
        std::fs::copy(library("biorule_krotov"), folder.join("libtwin.so")).unwrap();
    });
    assert_eq!(rules, ["krotov"]);
    assert!(
        refused[0].contains("libtwin.so")
            && refused[0].contains("libgood.so")
            && refused[0].contains("`krotov`"),
        "{refused:?}"
    );
}

#[test]
fn an_unknown_rule_in_a_config_exits_4_with_the_nearest_name_and_the_folders() {
    let folder = tempfile::tempdir().unwrap();
    let config = "[data]\nset = \"digits\"\n[[blocks]]\nname = \"out\"\nflatten = true\nlayer = \"dense\"\nout = 10\nrule = \"backprob\"\n";
    std::fs::write(folder.path().join("c.toml"), config).unwrap();
    let ran = Run::new(["train", "c.toml"]).dir(folder.path()).finish();
    assert_eq!(ran.code, Some(4), "{}", ran.stderr);
    for words in ["`backprob`", "did you mean `backprop`", "searched"] {
        assert!(
            ran.stderr.contains(words),
            "`{words}` missing in: {}",
            ran.stderr
        );
    }
}

// Calls, through the real library.

fn bind(mode: &str) -> biorule::Result<Box<dyn Rule>> {
    let mut registry = Registry::from_folders(vec![Folder {
        path: "/nonexistent".into(),
        ours_only: true,
    }]);
    registry.add(&specimen("modes")).unwrap();
    let params = [("mode".to_string(), ParamValue::Text(mode.into()))].into();
    let plan = LayerPlan {
        map: MapPlan::Dense,
        out: 3,
        bias: false,
        rule: "specimen".into(),
        params,
    };
    let layer = LayerShape {
        name: "middle".into(),
        index: 1,
        input: vec![5],
        output: vec![3],
        classes: 2,
        first: false,
        last: false,
        normalised: false,
    };
    registry.bind(&plan, &layer, DType::F32)
}

/// One step of the specimen in `mode`, up to the first error.
fn step(mode: &str) -> biorule::Result<()> {
    let rule = bind(mode)?;
    let state = rule.init(1, &Device::Cpu, DType::F32)?;
    let call = RuleCall {
        training: true,
        learning: true,
        ..RuleCall::evaluation(1)
    };
    let x = Tensor::ones((4, 5), DType::F32, &Device::Cpu)?;
    let f = rule.forward(&call, &state, &x)?;
    rule.learn(
        &call,
        &state,
        &Activity {
            x: &x,
            y: &f.y,
            kept: &f.kept,
            target: None,
        },
    )?;
    let errors = Errors {
        x: &x,
        y: &f.y,
        kept: &f.kept,
        grad_y: &f.y,
        output_error: None,
        target: None,
        losses: None,
        want_grad_x: true,
        want_grads: true,
    };
    rule.backward(&call, &state, &errors)?;
    Ok(())
}

#[test]
fn misbehaviour_in_a_call_is_an_error_with_rule_layer_and_reason() {
    let cases = [
        ("error-state", "`state`", "told to fail"),
        ("error-forward", "`forward`", "told to fail"),
        ("panic-forward", "panicked in `forward`", "told to panic"),
        (
            "shape-forward",
            "`forward`",
            "shape [1, 3], expected [4, 3]",
        ),
        ("nan-forward", "`forward`", "NaN"),
        ("error-learn", "`learn`", "told to fail"),
        ("panic-learn", "panicked in `learn`", "told to panic"),
        ("shape-learn", "`learn`", "shape [1, 5], expected [3, 5]"),
        (
            "unknown-learn",
            "`learn`",
            "`wait`, which it did not declare",
        ),
        ("nan-learn", "`learn`", "NaN"),
        ("error-backward", "`backward`", "told to fail"),
        ("panic-backward", "panicked in `backward`", "told to panic"),
        ("shape-backward", "`backward`", "expected [4, 5]"),
        ("none-backward", "`backward`", "expected [4, 5]"),
    ];
    for (mode, place, reason) in cases {
        let error = step(mode).expect_err(mode);
        assert_eq!(error.code as i32, 4, "{mode}");
        for words in ["`specimen`", "`middle`", place, reason] {
            assert!(
                error.text.contains(words),
                "{mode}: `{words}` missing in: {}",
                error.text
            );
        }
        assert!(
            error.hint.is_some_and(|h| h.contains("specimen_modes")),
            "{mode}: the hint names the file"
        );
    }
    step("good").unwrap();
    step("leak-forward").unwrap();
}

#[test]
fn leaked_tensors_are_counted() {
    use biorule::plugins::bind::BoundRule;
    let mut registry = Registry::default();
    registry.add(&specimen("modes")).unwrap();
    let layer = LayerShape {
        name: "l".into(),
        index: 0,
        input: vec![5],
        output: vec![3],
        classes: 2,
        first: true,
        last: true,
        normalised: false,
    };
    let leaks = |mode: &str| {
        let given = [("mode".to_string(), ParamValue::Text(mode.into()))].into();
        let plan = LayerPlan {
            map: MapPlan::Dense,
            out: 3,
            bias: false,
            rule: "specimen".into(),
            params: given,
        };
        let params = registry.params("specimen", &plan.params).unwrap();
        let rule =
            BoundRule::new(registry.get("specimen").unwrap(), &plan, &layer, &params).unwrap();
        let state = rule.init(1, &Device::Cpu, DType::F32).unwrap();
        let x = Tensor::ones((4, 5), DType::F32, &Device::Cpu).unwrap();
        for _ in 0..3 {
            rule.forward(&RuleCall::evaluation(1), &state, &x).unwrap();
        }
        rule.leaked()
    };
    assert_eq!((leaks("good"), leaks("leak-forward")), (0, 3));
}
