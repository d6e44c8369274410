//! Settings that nothing reads: each is said, and nothing else is.

use super::*;

/// Two layers by backpropagation, and a phase for them.
const DRIVEN: &str = r#"
    [[blocks]]
    name = "hidden"
    layer = "dense"
    out = 8
    rule = "backprop"
    [[blocks]]
    name = "readout"
    layer = "dense"
    out = "classes"
    rule = "backprop"
    [[phases]]
    name = "train"
    blocks = ["hidden", "readout"]
    drive = "gradient"
    epochs = 3
"#;

/// The same network, its first layer local, with a phase for each.
const MIXED: &str = r#"
    [[blocks]]
    name = "hidden"
    layer = "dense"
    out = 8
    rule = "krotov"
    [[blocks]]
    name = "readout"
    layer = "dense"
    out = "classes"
    rule = "backprop"
    [[phases]]
    name = "features"
    blocks = ["hidden"]
    drive = "local"
    evaluate_every = 0
    [[phases]]
    name = "read"
    blocks = ["readout"]
    drive = "gradient"
    epochs = 3
"#;

/// A convolution with an average pooling, and a read-out.
const POOLED: &str = r#"
    [[blocks]]
    name = "conv"
    layer = "conv"
    out = 4
    kernel = 3
    padding = 1
    rule = "backprop"
    pool = "avg 2"
    [[blocks]]
    name = "readout"
    flatten = true
    layer = "dense"
    out = "classes"
    rule = "backprop"
    [[phases]]
    name = "train"
    blocks = ["conv", "readout"]
    drive = "gradient"
    epochs = 3
"#;

fn warnings(text: &str, sets: &[&str]) -> Vec<String> {
    let case = sets.iter().fold(Case::new(text), |case, set| case.set(set));
    let resolved = case.resolve().unwrap_or_else(|e| panic!("{sets:?}: {e}"));
    resolved.warnings.iter().map(str::to_owned).collect()
}

/// The one warning about `path`, which is set last.
fn warned(text: &str, sets: &[&str], path: &str, why: &str) {
    let all = warnings(text, sets);
    let [one] = all.as_slice() else {
        panic!("{sets:?}: {all:?}");
    };
    let from = format!("`{path}` (from `--set ");
    assert!(
        one.contains(&from) && one.contains("has no effect"),
        "{one}"
    );
    assert!(one.contains(why), "{sets:?}: {one}");
}

#[test]
fn what_nothing_reads_is_said() {
    let cases: &[(&str, &[&str], &str, &str)] = &[
        (
            DRIVEN,
            &["data.augment.noise=0.5"],
            "data.augment.noise",
            "augment = true",
        ),
        (
            DRIVEN,
            &["data.augment.cutout=4"],
            "data.augment.cutout",
            "augment = true",
        ),
        (
            DRIVEN,
            &["data.augment.crop=2"],
            "data.augment.crop",
            "augment = true",
        ),
        (
            DRIVEN,
            &[
                "phases.train.augment=true",
                "data.augment.flip=0.5",
                "data.augment.padding=reflect",
            ],
            "data.augment.padding",
            "without a `crop`",
        ),
        (
            DRIVEN,
            &["data.split_seed=3"],
            "data.split_seed",
            "`validation`",
        ),
        (
            DRIVEN,
            &["data.resize_method=nearest"],
            "data.resize_method",
            "set `resize`",
        ),
        (
            DRIVEN,
            &["data.threads=0", "data.prefetch=8"],
            "data.prefetch",
            "`threads = 0`",
        ),
        (
            DRIVEN,
            &["extra_data.more=digits"],
            "extra_data.more",
            "no phase has",
        ),
        (
            DRIVEN,
            &[
                "extra_data.more={ set = \"digits\" }",
                "phases.train.data=more",
                "extra_data.more.limit_test=9",
            ],
            "extra_data.more.limit_test",
            "data.limit_test",
        ),
        (
            DRIVEN,
            &["data.parts.half=:50%"],
            "data.parts.half",
            "no phase has",
        ),
        (
            DRIVEN,
            &["data.parts_order=stored"],
            "data.parts_order",
            "set `parts`",
        ),
        (
            DRIVEN,
            &["phases.train.warmup_epochs=4"],
            "phases.train.warmup_epochs",
            "ends after 3 epochs",
        ),
        (
            DRIVEN,
            &["phases.train.epochs=1", "phases.train.schedule=linear"],
            "phases.train.schedule",
            "the phase has one",
        ),
        (
            POOLED,
            &["blocks.conv.pool.count_include_pad=false"],
            "blocks.conv.pool.count_include_pad",
            "set `padding`",
        ),
        (
            POOLED,
            &[
                "blocks.conv.pool=max 2/2/1",
                "blocks.conv.pool.count_include_pad=false",
            ],
            "blocks.conv.pool.count_include_pad",
            "never takes the padding",
        ),
        (
            POOLED,
            &["blocks.conv.pool.kernel=0", "blocks.conv.pool.padding=1"],
            "blocks.conv.pool.padding",
            "covers the whole map",
        ),
        (DRIVEN, &["device=cpu", "tf32=true"], "tf32", "the CPU"),
        (
            DRIVEN,
            &["device=cpu", "gpu_memory_share=0.9"],
            "gpu_memory_share",
            "the CPU",
        ),
        (DRIVEN, &["rule=backprop"], "rule", "a rule of its own"),
        (
            DRIVEN,
            &["phases.train.local_rate=0.5"],
            "phases.train.local_rate",
            "no local rule",
        ),
        (
            DRIVEN,
            &["phases.train.neuron_labels=true"],
            "phases.train.neuron_labels",
            "local phases",
        ),
        (
            DRIVEN,
            &["phases.train.cache.store=bf16"],
            "phases.train.cache.store",
            "no frozen block",
        ),
        (
            DRIVEN,
            &["phases.train.schedule=softhebb"],
            "phases.train.schedule",
            "20 epochs",
        ),
        (
            DRIVEN,
            &["phases.train.epochs=1", "phases.train.schedule=cosine"],
            "phases.train.schedule",
            "has one",
        ),
        (
            DRIVEN,
            &["phases.train.schedule={ kind = \"steps\", epochs = [1, 7] }"],
            "phases.train.schedule.epochs",
            "epoch 7 is never reached",
        ),
        (
            DRIVEN,
            &["output.alignment_every=5"],
            "output.alignment_every",
            "5 epochs",
        ),
        (
            DRIVEN,
            &[
                "phases.train.blocks=[\"readout\"]",
                "blocks.hidden.dropout=0.5",
            ],
            "blocks.hidden.dropout",
            "no phase trains",
        ),
        (
            DRIVEN,
            &[
                "phases.train.blocks=[\"readout\"]",
                "blocks.hidden.norm.momentum=0.5",
            ],
            "blocks.hidden.norm.momentum",
            "no phase trains",
        ),
        (
            MIXED,
            &["phases.features.optimizer=sgd"],
            "phases.features.optimizer",
            "no optimiser",
        ),
        (
            MIXED,
            &["phases.features.loss=mse"],
            "phases.features.loss",
            "not evaluated",
        ),
        (
            MIXED,
            &["phases.features.gradient_clip=1"],
            "phases.features.gradient_clip",
            "no optimiser",
        ),
        (
            MIXED,
            &["phases.features.schedule=0.9^epoch"],
            "phases.features.schedule",
            "`local_rate`",
        ),
        (
            MIXED,
            &["phases.read.local_rate=1/(1+b)"],
            "phases.read.local_rate",
            "no local rule",
        ),
        (
            MIXED,
            &[
                "phases.features.local_rate=0.1",
                "blocks.hidden.rule.lr=0.2",
            ],
            "blocks.hidden.rule.lr",
            "takes its place",
        ),
        (
            MIXED,
            &["blocks.hidden.norm.affine=true"],
            "blocks.hidden.norm.affine",
            "gain and shift",
        ),
        (
            MIXED,
            &["phases.read.cache=false", "phases.read.cache.store=bf16"],
            "phases.read.cache.store",
            "the cache is off",
        ),
    ];
    for (text, sets, path, why) in cases {
        warned(text, sets, path, why);
    }
    let twice = warnings(DRIVEN, &["phases.train.augment=true"]);
    assert!(
        matches!(&twice[..], [one] if one.contains("`phases.train.augment`") && one.contains("flip")),
        "{twice:?}"
    );
}

#[test]
fn what_something_reads_is_not() {
    let cases: &[(&str, &[&str])] = &[
        (
            DRIVEN,
            &["phases.train.augment=true", "data.augment.noise=0.5"],
        ),
        (DRIVEN, &["data.validation=0.1", "data.split_seed=3"]),
        (
            DRIVEN,
            &["phases.train.optimizer=sgd", "phases.train.loss=mse"],
        ),
        (
            DRIVEN,
            &["phases.train.schedule=cosine", "output.alignment_every=3"],
        ),
        (
            DRIVEN,
            &["phases.train.schedule={ kind = \"steps\", epochs = [1] }"],
        ),
        (DRIVEN, &["phases.train.schedule=0.9^epoch"]),
        (DRIVEN, &["baselines=[\"linear-pixels\"]"]),
        // A rule that learns from the loss and by itself has a local rate.
        (
            DRIVEN,
            &[
                "blocks.hidden.rule=weight-mirror",
                "phases.train.local_rate=0.1",
            ],
        ),
        (MIXED, &["phases.features.local_rate=0.02/(1+b)"]),
        (MIXED, &["phases.features.neuron_labels=true"]),
        (MIXED, &["phases.read.cache.store=bf16"]),
        (
            MIXED,
            &["blocks.hidden.dropout=0.1", "blocks.hidden.rule.lr=0.2"],
        ),
        // What holds anyway asks for nothing.
        (
            DRIVEN,
            &[
                "tf32=false",
                "data.shuffle=true",
                "phases.train.neuron_labels=false",
            ],
        ),
    ];
    for (text, sets) in cases {
        assert_eq!(warnings(text, sets), [""; 0], "{sets:?}");
    }
}

#[test]
fn parts_of_training_without_a_phase_are_said() {
    let driven = DRIVEN.split("[[phases]]").next().unwrap();
    let mixed = MIXED.split("[[phases]]").next().unwrap();
    let local = mixed.replace(
        "\"backprop\"",
        "{ name = \"softhebb\", competition = \"supervised\" }",
    );
    warned(
        driven,
        &["training.local.epochs=3"],
        "training.local.epochs",
        "local rule",
    );
    warned(
        mixed,
        &["training.mode=simultaneous", "training.local.batch=5"],
        "training.local.batch",
        "`training.gradient`",
    );
    warned(
        &local,
        &["training.gradient.optimizer=adam"],
        "training.gradient.optimizer",
        "no optimiser",
    );
    for read in [
        "training.local.local_rate=0.1",
        "training.gradient.optimizer=sgd",
    ] {
        for mode in ["successive", "simultaneous"] {
            let mode = format!("training.mode={mode}");
            assert_eq!(warnings(mixed, &[&mode, read]), [""; 0], "{mode} {read}");
        }
    }
}

#[test]
fn files_and_variables_are_wishes_and_presets_are_not() {
    let file = format!("{DRIVEN}\nlocal_rate = 0.5\n");
    let all = warnings(&file, &[]);
    assert!(
        matches!(&all[..], [one] if one.contains("base.toml:18")),
        "{all:?}"
    );
    let variable = Case::new(DRIVEN).environment("BIORULE__DATA__SPLIT_SEED", "3");
    let resolved = variable.resolve().unwrap();
    let one = resolved.warnings.iter().next().unwrap();
    assert!(one.contains("`BIORULE__DATA__SPLIT_SEED`"), "{one}");
    for preset in presets::list() {
        let sources = Sources {
            presets: vec![preset.name.clone()],
            ..Sources::default()
        };
        if let Ok(resolved) = resolve(&sources, &Offline) {
            assert_eq!(resolved.warnings, Warnings::default(), "{}", preset.name);
        }
    }
}

/// Each shipped configuration asks for what it gets, and its resolved form for nothing more.
#[test]
fn shipped_configurations_have_no_idle_settings() {
    let mut pending = vec![PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../configs")];
    while let Some(folder) = pending.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                // Studies are files of another kind: `tests/sweeps` has them.
                if !path.ends_with("sweep") {
                    pending.push(path);
                }
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let table = merge(&Sources {
                files: vec![path.clone()],
                ..Sources::default()
            });
            let table = table.unwrap();
            if crate::config::is_search(&table) {
                let search = crate::config::search(table, &Offline).unwrap();
                let pattern = search.pattern(&Offline).unwrap();
                assert!(pattern.is_none_or(|p| p.warnings == Warnings::default()));
                continue;
            }
            assert_eq!(warnings(&text, &[]), [""; 0], "{}", path.display());
            let resolved = Case::new(&text).resolve().unwrap();
            let mut again = warnings(&resolved.to_toml(false), &[]);
            // Of a network whose layers stay random the preset's learning rates are left.
            again.retain(|text| {
                !text.contains("rule.lr") || !text.contains("no phase trains this block")
            });
            assert_eq!(again, [""; 0], "{}", path.display());
        }
    }
}

#[test]
fn every_setting_has_a_reader() {
    let mut listed: Vec<(String, &str)> = Vec::new();
    for section in settings::sections() {
        let place = settings::base(section.place);
        for setting in section.settings {
            let entry = (place.to_owned(), setting.key);
            assert!(
                readers::reader(place, setting.key).is_some(),
                "{place}: `{}` has no reader",
                setting.key
            );
            listed.push(entry);
        }
    }
    for place in readers::PLACES {
        let keys: Vec<&str> = place.readers.iter().map(|r| r.key).collect();
        for (i, key) in keys.iter().enumerate() {
            let entry = (place.place.to_owned(), *key);
            assert!(listed.contains(&entry), "{entry:?} is no setting");
            assert!(!keys[..i].contains(key), "{entry:?} is there twice");
        }
    }
}

#[test]
fn the_order_of_a_set_holds_for_its_phases() {
    let flags = |sets: &[&str]| {
        let case = sets
            .iter()
            .fold(Case::new(MIXED), |case, set| case.set(set));
        let resolved = case.resolve().unwrap();
        assert_eq!(resolved.warnings, Warnings::default(), "{sets:?}");
        let phases = resolved.plan.phases;
        phases
            .iter()
            .map(|p| (p.shuffle, p.drop_last))
            .collect::<Vec<_>>()
    };
    assert_eq!(flags(&[]), [(true, false); 2]);
    assert_eq!(flags(&["data.shuffle=false"]), [(false, false); 2]);
    assert_eq!(flags(&["data.drop_last=true"]), [(true, true); 2]);
    let own = ["data.shuffle=false", "phases.read.shuffle=true"];
    assert_eq!(flags(&own), [(false, false), (true, false)]);
    let other = [
        "extra_data.more={ set = \"digits\", shuffle = false }",
        "phases.read.data=more",
    ];
    assert_eq!(flags(&other), [(true, false), (false, false)]);
    let (_, origin) = Case::new(MIXED)
        .set("data.drop_last=true")
        .row("phases.read.drop_last");
    assert_eq!(origin, "`--set data.drop_last`");
    // Short forms of phases have defaults of their own, which say nothing.
    let short = net().set("data.shuffle=false").resolve().unwrap().plan;
    assert!(short.phases.iter().all(|p| !p.shuffle));
    let all = warnings(DRIVEN, &["phases.train.shuffle=true", "data.shuffle=false"]);
    assert!(
        matches!(&all[..], [one] if one.contains("`data.shuffle`")),
        "{all:?}"
    );
}

#[test]
fn a_crop_is_padding_and_says_so() {
    let set = |crop: &str| {
        let case = Case::new(DRIVEN).set("phases.train.augment=true");
        case.set(&format!("data.augment.crop={crop}"))
    };
    assert_eq!(set("3").resolve().unwrap().warnings, Warnings::default());
    for padding in ["zero", "reflect"] {
        let padding = format!("data.augment.padding={padding}");
        for crop in ["4", "7"] {
            let resolved = set(crop).set(&padding).resolve().unwrap();
            let all: Vec<&str> = resolved.warnings.iter().collect();
            assert!(
                matches!(all[..], [one] if one.contains("not the size") && one.contains("8x8")),
                "{all:?}"
            );
        }
        for crop in ["8", "28", "1e12"] {
            let e = set(crop).set(&padding).error();
            assert!(e.text.contains("expected less than the image size"), "{e}");
            assert!(e.hint.unwrap().contains("not the size"));
        }
    }
    let extra = Case::new(DRIVEN)
        .set("extra_data.more={ set = \"digits\", augment = { crop = 9 } }")
        .error();
    assert!(
        extra.text.contains("`extra_data.more.augment.crop`"),
        "{extra}"
    );
}

#[test]
fn a_phase_takes_a_part_of_the_training_samples() {
    let parts = |more: &str| {
        let set = format!("data.parts={{ a = \":1/3\", b = \"1/3:50%\" {more} }}");
        Case::new(DRIVEN).set(&set)
    };
    let resolved = parts("").set("phases.train.data=a").resolve().unwrap();
    let all: Vec<&str> = resolved.warnings.iter().collect();
    assert!(
        matches!(all[..], [one] if one.contains("`data.parts.b`")),
        "{all:?}"
    );
    // Settings of the set hold for its parts.
    let plan = parts("")
        .set("phases.train.data=b")
        .set("data.shuffle=false");
    assert!(!plan.resolve().unwrap().plan.phases[0].shuffle);
    for (case, words) in [
        (
            parts("").set("phases.train.data=c"),
            "nor in `extra_data` or `data.parts`",
        ),
        (
            parts(", c = \"5\""),
            "`data.parts.c` is `5`, expected a range",
        ),
        (
            parts(", c = 5"),
            "`data.parts.c` is the number `5`, expected a range",
        ),
        (parts(", test = \"5:\""), "a part cannot be named `test`"),
        (parts("").set("extra_data.a=digits"), "have one name"),
        (
            Case::new(DRIVEN).set("data.parts=:50%"),
            "expected a table of ranges",
        ),
    ] {
        let e = case.error();
        assert!(e.text.contains(words), "{words}: {e}");
    }
    let near = parts("")
        .set("data.parts.alphas=50%:")
        .set("phases.train.data=alpha");
    assert!(
        near.error()
            .hint
            .unwrap()
            .contains("did you mean `alphas`?")
    );
}

#[test]
fn a_cutout_fits_the_image() {
    let set = |side: &str| {
        let case = Case::new(DRIVEN).set("phases.train.augment=true");
        case.set(&format!("data.augment.cutout={side}"))
    };
    let plan = set("8").resolve().unwrap().plan;
    assert_eq!(plan.data.augment.cutout, 8);
    for side in ["9", "16", "1e15"] {
        let e = set(side).error();
        assert!(
            e.text.contains("`data.augment.cutout`") && e.text.contains("8x8"),
            "{e}"
        );
    }
}

#[test]
fn variables_with_one_underscore_are_noticed() {
    let cases = [
        (
            "BIORULE_OUTPUT_LOG_EVERY",
            Some("BIORULE__OUTPUT__LOG_EVERY"),
        ),
        ("BIORULE_SEED", Some("BIORULE__SEED")),
        (
            "BIORULE_TRAINING__GRADIENT__EPOCHS",
            Some("BIORULE__TRAINING__GRADIENT__EPOCHS"),
        ),
        ("BIORULE_DATA_ROOT", Some("BIORULE__DATA__ROOT")),
        ("BIORULE_DATA", None),
        ("BIORULE_PLUGIN_PATH", None),
        ("BIORULE__SEED", None),
        ("HOME", None),
    ];
    for (name, meant) in cases {
        assert_eq!(meant_variable(name).as_deref(), meant, "{name}");
    }
}
