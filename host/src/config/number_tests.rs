//! Numbers, words and rates as people write them: what is taken, and what is said of the rest.

use super::*;

#[test]
fn whole_numbers_are_taken_in_every_spelling() {
    for text in ["20", "2e1", "20.0", "+20", "2_0", "20."] {
        let set = format!("training.gradient.epochs={text}");
        assert_eq!(net().set(&set).row("phases.classifier.epochs").0, "20");
        let case = net().environment("BIORULE__DATA__LIMIT_TRAIN", text);
        assert_eq!(case.resolve().unwrap().plan.data.limit_train, Some(20));
    }
    let plan = net()
        .file(
            "more.toml",
            "seeds = [2.0, 1e3]\ndata = { set = \"digits\", resize = 8.0, limit_test = 1_000 }\n\
             [blocks.conv1]\nkernel = 3.0\nout = 4.0\nrule.nb_train = 2.0\n",
        )
        .resolve()
        .unwrap()
        .plan;
    assert_eq!(plan.seeds, [2, 1000]);
    assert_eq!(plan.data.resize, Some([8, 8]));
    assert_eq!(plan.data.limit_test, Some(1000));
    for (text, x) in [
        (".001", 0.001),
        ("1e-3", 0.001),
        ("+.5", 0.5),
        ("5.", 5.0),
        ("2", 2.0),
    ] {
        let set = format!("training.gradient.optimizer.lr={text}");
        let plan = net().set(&set).resolve().unwrap().plan;
        let OptimizerPlan::Adam { lr, .. } = plan.phases[1].optimizer else {
            panic!("the default is Adam");
        };
        assert_eq!(lr, x, "{text}");
    }
}

#[test]
fn numbers_that_do_not_fit_are_refused_by_key_and_source() {
    let cases = [
        (
            "seeds=[18446744073709551615]",
            "`seeds` has the number `18446744073709551615`",
        ),
        ("seed=-1", "`seeds` has the number `-1`"),
        ("seed=1.5", "`seeds` has the number `1.5`"),
        (
            "training.gradient.epochs=1.5",
            "`phases.classifier.epochs` is the number `1.5`",
        ),
        (
            "training.gradient.epochs=9223372036854775808",
            "expected a whole number, 0 to",
        ),
        (
            "training.gradient.optimizer.lr=-0.1",
            "-0.1, expected 0 or more",
        ),
        ("training.gradient.optimizer.lr=inf", "expected a number"),
        ("training.gradient.optimizer.lr=nan", "expected a number"),
        (
            "training.gradient.optimizer.lr=\"0.1\"",
            "the text `0.1`, expected a number",
        ),
        (
            "training.gradient.optimizer.betas=[0.9,1]",
            "1, expected 0 to",
        ),
        (
            "training.gradient.optimizer={ kind = \"sgd\", momentum = 1.5 }",
            "1.5, expected 0 to 1",
        ),
        (
            "training.gradient.schedule={ kind = \"steps\", epochs = [1], gamma = -1 }",
            "-1, expected 0 to 1",
        ),
        ("training.local.local_rate=-0.1", "-0.1, expected 0 or more"),
        (
            "training.local.local_rate={ kind = \"linear\", start = -1 }",
            "-1, expected 0 or more",
        ),
        (
            "training.local.local_rate={ kind = \"exponential\", start = 1, end = -1, speed = 1 }",
            "-1, expected 0 or more",
        ),
        (
            "data.limit_train=many",
            "`data.limit_train` is the text `many`, expected a whole number",
        ),
        ("data.validation=-1", "-1, expected 0 or more"),
        ("data.augment.flip=2", "2, expected 0 to 1"),
        ("data.options.size=3", "`digits` has no options"),
    ];
    for (set, text) in cases {
        let e = net().set(set).error();
        assert_eq!(e.code, ExitCode::Usage, "{set}");
        assert!(e.text.contains(text), "{set}: {e}");
    }
    let e = net().set("training.gradient.epochs=1.5").error();
    assert!(
        e.text.contains("(from `--set training.gradient.epochs`)"),
        "{e}"
    );
    let e = net().environment("BIORULE__SEED", "x").error();
    assert!(e.text.contains("environment `BIORULE__SEED`"), "{e}");
    let e = net()
        .file("more.toml", "\n\n[data]\nlimit_train = 1.5\n")
        .error();
    assert!(e.text.contains("more.toml:4`"), "{e}");
}

#[test]
fn what_is_not_toml_says_where_and_what_was_meant() {
    let cases = [
        (
            "seed = 3\ndata.noise = .5\n",
            "line 2, column 14",
            Some("write it as `0.5`"),
        ),
        (
            "device = cpu\n",
            "line 1",
            Some("write text in quotes, `\"cpu\"`"),
        ),
        ("a = = 1\n", "line 1, column 5", None),
    ];
    for (text, place, hint) in cases {
        let e = net().file("bad.toml", text).error();
        assert!(
            e.text.contains("bad.toml`") && e.text.contains(place),
            "{e}"
        );
        assert!(!e.text.contains('\n'), "{e}");
        assert_eq!(e.hint.as_deref(), hint);
    }
}

#[test]
fn words_find_their_names_everywhere() {
    let cases = [
        ("data.set=CIFAR10", "cifar10"),
        ("data.normalize=Standard", "standard"),
        ("blocks.conv1.rule=bp", "backprop"),
        ("blocks.conv1.rule=dfa", "direct-feedback-alignment/dfa"),
        ("blocks.conv1.rule=kp", "kolen-pollack"),
        ("blocks.conv1.rule=FA", "feedback-alignment/fa"),
        ("blocks.conv1.activation=ReLU", "relu"),
        ("blocks.conv1.pool=MaxPool 2", "max"),
        ("blocks.conv1.layer=Conv2d", "conv"),
        ("blocks.conv1.norm=BatchNorm", "batch"),
        ("blocks.conv1.padding=SAME", "same"),
        ("blocks.conv1.out=Classes", "classes"),
        ("blocks.Conv1.out=3", "conv1"),
        ("training.gradient.optimizer=Adam", "adam"),
        ("training.gradient.loss=CE", "cross-entropy"),
        ("training.gradient.schedule=CosineAnnealingLR", "cosine"),
        ("training.gradient.learning_rate=1", "lr"),
        ("training.gradient.batch_size=1", "batch"),
        ("training.mode=e2e", "end-to-end"),
        ("dtype=float32", "f32"),
        ("device=GPU", "cuda"),
        ("device=CPU", "cpu"),
        ("baselines=[\"Random_Weights\"]", "random-weights"),
        (
            "preset=\"softhebb/2softhebbcnncifar\"",
            "softhebb/2SoftHebbCnnCIFAR",
        ),
        ("training.local.data=Train", "train"),
    ];
    for (set, name) in cases {
        if name == "cifar10" {
            // Without data, unknown sets pass; the registry names the one that was meant.
            let plan = net().set(set).resolve().unwrap().plan;
            let e = plan.data.info().unwrap_err();
            assert!(e.hint.unwrap().contains("`cifar10`"));
            continue;
        }
        if name == "lr" {
            // The rate belongs to the optimiser's table; there it is found.
            let e = net()
                .set("training.gradient.optimizer.learning_rate=1")
                .error();
            assert_eq!(e.hint.as_deref(), Some("did you mean `lr`?"), "{e}");
            continue;
        }
        let e = net().set(set).error();
        let hint = e.hint.clone().unwrap_or_default();
        assert!(
            hint.contains(&format!("did you mean `{name}`?")),
            "{set}: {e}"
        );
    }
    for (set, hint) in [
        ("training.gradient.shuffle=True", "write `true`"),
        ("training.gradient.shuffle=0", "write `false`"),
        (
            "training.gradient.optimizer.lr=\"0,1\"",
            "without quotes, `0.1`",
        ),
    ] {
        assert!(net().set(set).error().hint.unwrap().contains(hint), "{set}");
    }
}

#[test]
fn rates_by_formula_have_short_forms_and_are_stored_as_text() {
    let plan = net()
        .set("training.local.local_rate=0.02/(1+b)")
        .set("training.gradient.schedule=0.97^epoch")
        .resolve()
        .unwrap();
    let local = plan.plan.phases[0].local_rate.clone().unwrap();
    let value = "0.02/(1+b)".parse().unwrap();
    assert_eq!(local, LocalRatePlan::Formula { value });
    let factor = "0.97^epoch".parse().unwrap();
    assert_eq!(
        plan.plan.phases[1].schedule,
        SchedulePlan::Formula { factor }
    );
    let again = Case::new(&plan.to_toml(true)).resolve().unwrap();
    assert_eq!(again.plan, plan.plan);
    assert_eq!(again.hash(), plan.hash());
    let tables = net()
        .set("training.local.local_rate={ kind = \"formula\", value = 0.5 }")
        .set("training.gradient.schedule={ kind = \"formula\", factor = \"1/(1+epoch)\" }");
    assert!(tables.resolve().is_ok());
}

#[test]
fn formulas_without_a_rate_are_refused_before_training() {
    let cases = [
        (
            "training.local.local_rate=0.1/(1+c)",
            "column 8: unknown variable `c`",
        ),
        ("training.local.local_rate=1/b", "`1/b` is inf at b = 0"),
        ("training.local.local_rate=log(b)", "is -inf"),
        ("training.gradient.schedule=1-epoch", "is -1 at epoch = 2"),
        (
            "training.gradient.schedule=sqrt(3-epoch)",
            "not a number at epoch = 4",
        ),
        ("training.gradient.schedule=0.1*(1+", "is missing"),
        ("training.local.local_rate=exponentail", "expected one of"),
        ("training.gradient.schedule=cosin", "expected one of"),
    ];
    for (set, text) in cases {
        let e = net().set(set).error();
        assert_eq!(e.code, ExitCode::Usage);
        assert!(e.text.contains(text), "{set}: {e}");
    }
}

#[test]
fn schedules_that_need_an_end_are_refused_without_one() {
    let stop = "training.local.stop={ threshold = 0.01 }";
    let endless = || net().set("training.local.epochs=0").set(stop);
    assert!(endless().resolve().is_ok());
    for rate in [
        "training.local.local_rate={ kind = \"linear\", start = 0.1 }",
        "training.local.local_rate=0.1*(1-epoch/(1+epochs))",
        "blocks.conv1.rule.rate=linear",
        "blocks.conv1.rule.rate=exp",
    ] {
        let e = endless().set(rate).error();
        assert_eq!(e.code, ExitCode::Usage);
        assert!(e.text.contains("needs the number of epochs"), "{rate}: {e}");
        assert!(e.text.contains("`phases.conv1.epochs` is 0"), "{rate}: {e}");
    }
    for rate in [
        "training.local.local_rate={ kind = \"exponential\", start = 0.1, end = 0, speed = 1 }",
        "training.local.local_rate=0.1/(1+b)",
        "blocks.conv1.rule.rate=constant",
    ] {
        assert!(endless().set(rate).resolve().is_ok(), "{rate}");
    }
    let both = |schedule: &str| {
        let case = endless().set("training.mode=simultaneous");
        case.set("training.gradient.epochs=0").set(schedule)
    };
    for schedule in ["cosine", "linear", "softhebb", "1-0.1*epoch/(1+epochs)"] {
        let e = both(&format!("training.gradient.schedule={schedule}")).error();
        assert!(
            e.text
                .contains(&format!("`phases.train.schedule`: `{schedule}`")),
            "{e}"
        );
    }
    assert!(
        both("training.gradient.schedule=0.9^epoch")
            .resolve()
            .is_ok()
    );
    let e = net().set("training.local.epochs=0").error();
    assert!(e.text.contains("nothing stops the phase"), "{e}");
}

#[test]
fn a_preset_on_a_set_that_is_not_there_says_so() {
    let unsupported: Vec<String> = presets::list()
        .into_iter()
        .map(|preset| preset.name)
        .filter(|name| !presets::missing_sets(name).unwrap().is_empty())
        .collect();
    /// Checks data sets as the program does.
    struct Strict;
    impl PlanContext for Strict {
        fn rule(&self, name: &str) -> crate::Result<RuleSchema> {
            Offline.rule(name)
        }
        fn dataset(&self, plan: &crate::data::DataPlan) -> crate::Result<Option<DataShape>> {
            dataset_shape(plan)
        }
    }
    for preset in presets::list() {
        let mut sources = Sources {
            presets: vec![preset.name.clone()],
            ..Sources::default()
        };
        // Data presets are laid under a network.
        let data_only = presets::text(&preset.name)
            .unwrap()
            .find("[[blocks]]")
            .is_none();
        if data_only {
            continue;
        }
        let resolved = resolve(&sources, &Strict);
        if !unsupported.contains(&preset.name) {
            resolved.unwrap_or_else(|e| panic!("{}: {e}", preset.name));
            continue;
        }
        let e = resolved.unwrap_err();
        assert!(e.text.contains(&format!("preset `{}`", preset.name)), "{e}");
        assert!(e.text.contains("not supported yet"), "{e}");
        // A set that the user names is unknown, whatever the preset.
        sources.sets.push("data.set=stl11".to_owned());
        let e = resolve(&sources, &Strict).unwrap_err();
        assert!(e.text.contains("unknown data set `stl11`"), "{e}");
    }
}
