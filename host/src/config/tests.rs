//! Configuration from end to end: layers in, plan and origins out.

use std::path::PathBuf;

use super::*;
use crate::{Error, ExitCode};

/// A directory with files, and sources on top of them.
struct Case {
    folder: tempfile::TempDir,
    sources: Sources,
}

impl Case {
    fn new(text: &str) -> Self {
        let mut case = Self {
            folder: tempfile::tempdir().unwrap(),
            sources: Sources::default(),
        };
        case.add("base.toml", text);
        case
    }
    fn add(&mut self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        self.sources.files.push(path.clone());
        path
    }
    fn file(mut self, name: &str, text: &str) -> Self {
        self.add(name, text);
        self
    }
    fn set(mut self, text: &str) -> Self {
        self.sources.sets.push(text.into());
        self
    }
    fn environment(mut self, name: &str, value: &str) -> Self {
        self.sources.environment.push((name.into(), value.into()));
        self
    }
    fn resolve(&self) -> crate::Result<Resolved> {
        resolve(&self.sources, &Offline)
    }
    fn error(&self) -> Error {
        self.resolve().unwrap_err()
    }
    /// Value and origin of a setting.
    fn row(&self, path: &str) -> (String, String) {
        let rows = self.resolve().unwrap().rows();
        let row = rows.into_iter().find(|r| r.0 == path);
        let (_, value, origin) = row.unwrap_or_else(|| panic!("no `{path}`"));
        (value.to_string(), origin)
    }
}

const NET: &str = r#"
    [[blocks]]
    layer = "conv"
    kernel = 3
    padding = "same"
    out = 4
    rule = { name = "softhebb", lr = 0.08 }
    activation = "triangle(0.7)"
    pool = "max 2"
    [[blocks]]
    name = "classifier"
    layer = "dense"
    out = "classes"
    rule = "backprop"
"#;

fn net() -> Case {
    Case::new(NET)
}

#[test]
fn each_layer_lies_over_the_one_before() {
    let path = "phases.classifier.epochs";
    let file = |n: u64| format!("training.gradient.epochs = {n}\n");
    let mut case = Case::new(&(file(2) + NET));
    let at = |case: &Case| case.row(path).0;
    assert_eq!(net().row(path), ("10".into(), "default".into()));
    assert_eq!(at(&case), "2");
    case = case.file("more.toml", &file(3));
    assert_eq!(at(&case), "3");
    assert!(case.row(path).1.contains("more.toml"));
    case = case.environment("BIORULE__TRAINING__GRADIENT__EPOCHS", "4");
    let variable = "environment `BIORULE__TRAINING__GRADIENT__EPOCHS`";
    assert_eq!(case.row(path), ("4".into(), variable.into()));
    case = case.set("training.gradient.epochs=5");
    let flag = "`--set training.gradient.epochs`";
    assert_eq!(case.row(path), ("5".into(), flag.into()));
    case = case.set("training.gradient.epochs=6");
    assert_eq!(at(&case), "6");
}

#[test]
fn presets_lie_under_files() {
    let text = "preset = \"softhebb/2SoftHebbCnnCIFAR\"\ntraining.gradient.epochs = 7\n";
    let case = Case::new(text);
    assert_eq!(case.row("phases.classifier.epochs").0, "7");
    let (batch, origin) = case.row("phases.classifier.batch");
    assert_eq!(batch, "64");
    assert_eq!(origin, "preset `softhebb/2SoftHebbCnnCIFAR`");
    let e = Case::new("preset = \"softhebb/2SoftHebCnnCIFAR\"").error();
    assert!(e.hint.unwrap().contains("softhebb/2SoftHebbCnnCIFAR"));
}

#[test]
fn blocks_are_changed_by_number_and_by_name() {
    for set in ["blocks.0.dropout=0.1", "blocks.conv1.dropout=0.1"] {
        assert_eq!(net().set(set).row("blocks.conv1.dropout").0, "0.1");
    }
    let patched = net().file("p.toml", "[blocks.conv1]\ndropout = 0.2\nrule.lr = 0.5\n");
    assert_eq!(patched.row("blocks.conv1.dropout").0, "0.2");
    assert_eq!(patched.row("blocks.conv1.rule.lr").0, "0.5");
    assert_eq!(patched.row("blocks.conv1.rule.name").0, "\"softhebb\"");
    let e = net().set("blocks.conv2.dropout=0.1").error();
    assert_eq!(e.hint.as_deref(), Some("did you mean `conv1`?"));
    let e = net().set("blocks.7.dropout=0.1").error();
    assert!(e.text.contains("no entry `7`"), "{e}");
}

#[test]
fn a_change_of_kind_drops_what_belonged_to_the_former() {
    let plan = net()
        .set("blocks.conv1.activation=relu")
        .resolve()
        .unwrap()
        .plan;
    assert_eq!(plan.blocks[0].activation, Some(ActivationPlan::Relu));
    let table = net().set("blocks.conv1.activation={ kind = \"tanh\", gain = 2 }");
    let tanh = ActivationPlan::Tanh { gain: 2.0 };
    assert_eq!(
        table.resolve().unwrap().plan.blocks[0].activation,
        Some(tanh)
    );
    let power = net().set("blocks.conv1.activation.power=2");
    let triangle = ActivationPlan::Triangle { power: 2.0 };
    assert_eq!(
        power.resolve().unwrap().plan.blocks[0].activation,
        Some(triangle)
    );
    let rule = net()
        .set("blocks.conv1.rule.name=krotov")
        .resolve()
        .unwrap()
        .plan;
    let layer = rule.blocks[0].layer.as_ref().unwrap();
    assert!(layer.rule == "krotov" && layer.params.is_empty());
    let none = net().set("blocks.conv1.pool=none").resolve().unwrap().plan;
    assert_eq!(none.blocks[0].pool, None);
}

#[test]
fn unknown_keys_name_the_nearest_and_where_they_came_from() {
    let cases = [
        (
            net().set("blocks.conv1.drpout=1"),
            "drpout",
            "dropout",
            "--set blocks.conv1.drpout",
        ),
        (
            net().set("outputs.runs=x"),
            "outputs",
            "output",
            "--set outputs.runs",
        ),
        (
            net().file("bad.toml", "training.local.epoch = 1"),
            "epoch",
            "epochs",
            "bad.toml",
        ),
        (net().set("data.sett=x"), "sett", "set", "--set data.sett"),
        (
            net().environment("BIORULE__TRAINING__MOOD", "x"),
            "mood",
            "mode",
            "BIORULE__TRAINING__MOOD",
        ),
        (
            net().set("blocks.conv1.pool.strde=1"),
            "strde",
            "stride",
            "--set blocks.conv1.pool",
        ),
    ];
    for (case, key, near, from) in cases {
        let e = case.error();
        assert_eq!(e.code, ExitCode::Usage);
        assert!(
            e.text.contains(&format!("`{key}`")) && e.text.contains(from),
            "{e}"
        );
        assert_eq!(
            e.hint.as_deref(),
            Some(format!("did you mean `{near}`?").as_str()),
            "{e}"
        );
    }
}

#[test]
fn wrong_values_say_what_is_expected() {
    let cases = [
        ("blocks.conv1.dropout=1.5", "1.5, expected 0 to"),
        (
            "blocks.conv1.dropout=high",
            "the text `high`, expected a number",
        ),
        (
            "blocks.conv1.kernel=[1,2,3]",
            "a list, expected a whole number",
        ),
        ("blocks.conv1.pool=max", "such as \"max 4/2/1\""),
        (
            "blocks.conv1.activation=softmin",
            "expected one of `triangle`",
        ),
        ("training.gradient.batch=0", "0, expected 1 or more"),
        (
            "training.gradient.optimizer.betas=[0.9]",
            "expected a list of two numbers",
        ),
        ("blocks.classifier.kernel=3", "no meaning for a dense layer"),
        ("blocks.classifier.rule=backprp", "unknown rule `backprp`"),
        ("device=tpu", "`device` is `tpu`"),
        ("name=a/b", "cannot name a folder"),
        ("seeds=[1,1]", "different numbers"),
        ("baselines=[\"luck\"]", "unknown baseline `luck`"),
        ("training.mode=end-to-end", "trains no local rule"),
        ("extra_data.train=digits", "cannot be used"),
        (
            "training.local.data=other",
            "neither `train` nor in `extra_data`",
        ),
        (
            "blocks.classifier.out=7",
            "the network gives [7], the loss expects [10]",
        ),
        ("blocks.conv1.flatten=true", "gets [64], expected [C, H, W]"),
        (
            "blocks.classifier.flatten=false",
            "gets [4, 4, 4], expected [features]",
        ),
        (
            "blocks.conv1.name=classifier",
            "two blocks are named `classifier`",
        ),
    ];
    for (set, expected) in cases {
        let e = net().set(set).error();
        assert!(e.text.contains(expected), "{set}: {e}");
    }
}

#[test]
fn training_and_phases_exclude_each_other() {
    let shown = net().resolve().unwrap().to_toml(false);
    let e = Case::new(&shown).set("training.gradient.epochs=3").error();
    assert!(e.text.contains("no effect"), "{e}");
    let changed = Case::new(&shown).set("phases.classifier.epochs=3");
    assert_eq!(changed.row("phases.classifier.epochs").0, "3");
    let e = net().set("phases.classifier.epochs=3").error();
    assert!(e.hint.unwrap().contains("training"));
}

/// A block that is a graph with a local rule on one edge and backpropagation on the other.
const CELL: &str = r#"
    [[blocks]]
    name = "cell"
    [[blocks.graph]]
    name = "sum"
    from = [
        { source = "input", blocks = [{ layer = "conv", kernel = 3, padding = "same", out = 2, rule = "softhebb" }] },
        { source = "input", blocks = [{ layer = "conv", kernel = 3, padding = "same", out = 2, rule = "backprop" }] },
    ]
    [[blocks]]
    name = "classifier"
    layer = "dense"
    out = "classes"
    rule = "backprop"
"#;

#[test]
fn local_and_error_driven_rules_of_one_block_learn_together() {
    let plan = Case::new(CELL).resolve().expect("a plan").plan;
    let phases: Vec<_> = plan
        .phases
        .iter()
        .map(|p| (p.blocks.len(), p.drive))
        .collect();
    assert_eq!(phases, [(2, Drive::Both)]);
    for mode in ["successive", "consecutive", "end-to-end"] {
        let e = Case::new(CELL)
            .set(&format!("training.mode={mode}"))
            .error();
        assert!(
            e.text.contains("`cell` mixes local and error-driven"),
            "{e}"
        );
        assert!(e.hint.expect("a hint").contains("`simultaneous`"));
    }
    let given = Case::new(CELL).set("training.mode=simultaneous");
    assert_eq!(given.resolve().expect("a plan").plan.phases, plan.phases);
}

#[test]
fn a_layer_that_no_phase_moves_is_said() {
    let phase = |drive: &str| {
        format!(
            "{CELL}\n[[phases]]\nname = \"p\"\nblocks = [\"cell\", \"classifier\"]\ndrive = \"{drive}\"\n"
        )
    };
    let warned = |text: &str| {
        let resolved = Case::new(text).resolve().expect("a plan");
        let said: Vec<String> = resolved.warnings.iter().map(str::to_owned).collect();
        said.into_iter()
            .filter(|w| w.contains("no phase moves"))
            .collect::<Vec<_>>()
    };
    let said = warned(&phase("gradient"));
    assert!(
        matches!(&said[..], [one] if one.contains("`cell`") && one.contains("`softhebb`")),
        "{said:?}"
    );
    let said = warned(&phase("local"));
    assert!(
        said.iter()
            .any(|w| w.contains("`cell`") && w.contains("`backprop`")),
        "{said:?}"
    );
    assert!(said.iter().any(|w| w.contains("`classifier`")), "{said:?}");
    assert_eq!(warned(&phase("both")), [""; 0]);
    assert_eq!(warned(NET), [""; 0]);
}

#[test]
fn modes_make_their_phases() {
    let phases = |mode: &str| {
        let plan = net()
            .set(&format!("training.mode={mode}"))
            .resolve()
            .unwrap()
            .plan;
        let one = |p: PhasePlan| (p.name, p.blocks.join("+"), p.drive);
        plan.phases.into_iter().map(one).collect::<Vec<_>>()
    };
    let s = |a: &str, b: &str, d: Drive| (a.to_owned(), b.to_owned(), d);
    let both = "conv1+classifier";
    assert_eq!(
        phases("successive"),
        [
            s("conv1", "conv1", Drive::Local),
            s("classifier", "classifier", Drive::Gradient)
        ]
    );
    assert_eq!(
        phases("consecutive"),
        [
            s("local", "conv1", Drive::Local),
            s("gradient", "classifier", Drive::Gradient)
        ]
    );
    assert_eq!(phases("simultaneous"), [s("train", both, Drive::Both)]);
    let bp = net()
        .set("blocks.conv1.rule=backprop")
        .resolve()
        .unwrap()
        .plan;
    assert_eq!(bp.phases.len(), 1);
    assert_eq!(bp.phases[0].blocks, ["conv1", "classifier"]);
}

#[test]
fn a_taught_hebbian_classifier_learns_locally_from_the_supervised_data() {
    let taught = "blocks.classifier.rule={ name = \"softhebb\", competition = \"supervised\" }";
    for mode in ["successive", "consecutive"] {
        let case = net().set(taught).set(&format!("training.mode={mode}"));
        let plan = case.resolve().unwrap().plan;
        let last = plan.phases.last().unwrap();
        assert_eq!(
            (last.drive, last.batch, last.epochs),
            (Drive::Local, 64, 10)
        );
        assert_eq!(last.blocks, ["classifier"]);
    }
}

#[test]
fn seeds_have_two_spellings() {
    assert_eq!(net().set("seed=3").resolve().unwrap().plan.seeds, [3]);
    let over = Case::new(&format!("seeds = [0, 1]\n{NET}")).set("seed=3");
    assert_eq!(over.resolve().unwrap().plan.seeds, [3]);
    let both = Case::new(&format!("seeds = [0, 1]\nseed = 2\n{NET}")).error();
    assert!(both.text.contains("both `seed` and `seeds`"), "{both}");
    let one = net().resolve().unwrap().with_seed(9);
    assert_eq!(one.plan.seeds, [9]);
    assert!(one.to_toml(false).contains("seeds = [9]"));
}

#[test]
fn the_hash_is_of_what_decides_results() {
    let hash = |set: &str| net().set(set).resolve().unwrap().hash();
    let base = net().resolve().unwrap().hash();
    assert_eq!(base, hash("output.log_every=5"));
    assert_ne!(base, hash("blocks.conv1.rule.lr=0.081"));
    assert_ne!(base, hash("seed=1"));
}

#[test]
fn residual_blocks_check_their_sum() {
    let residual = |shortcut: &str, out: usize, stride: usize| {
        Case::new(&format!(
            r#"
            [[blocks]]
            activation = "relu"
            [blocks.residual]
            shortcut = "{shortcut}"
            [[blocks.residual.blocks]]
            layer = "conv"
            kernel = 3
            padding = 1
            stride = {stride}
            out = {out}
            rule = "backprop"
            norm_inner = {{ kind = "batch", affine = true }}
            [[blocks]]
            layer = "dense"
            out = "classes"
            rule = "backprop"
            "#
        ))
    };
    let plan = residual("identity", 1, 1).resolve().unwrap().plan;
    let inner = &plan.blocks[0].residual.as_ref().unwrap().blocks[0];
    assert_eq!(inner.name, "residual1_conv1");
    residual("subsample-pad", 3, 2).resolve().unwrap();
    let e = residual("identity", 2, 1).error();
    assert!(
        e.text
            .contains("the inner path gives [2, 8, 8], the shortcut [1, 8, 8]"),
        "{e}"
    );
    assert!(
        residual("subsample-pad", 2, 2)
            .error()
            .text
            .contains("even number")
    );
}

#[test]
fn graphs_check_their_edges() {
    let graph = |edges: &str| {
        Case::new(&format!(
            r#"
            rule = "backprop"
            [[blocks]]
            graph = [{edges}]
            [[blocks]]
            layer = "dense"
            out = "classes"
            "#
        ))
    };
    let conv =
        |out: usize| format!("[{{ layer = \"conv\", kernel = 3, padding = 1, out = {out} }}]");
    let (one, two) = (conv(1), conv(2));
    let sum = format!(
        r#"{{ name = "a", from = [{{ source = "input", blocks = {one} }}, {{ source = "input" }}] }},
           {{ name = "b", join = "concat", from = [{{ source = "a", blocks = {two} }}, {{ source = "input" }}] }}"#
    );
    let resolved = graph(&sum).resolve().unwrap();
    let nodes = &resolved.plan.blocks[0].graph.as_ref().unwrap().nodes;
    assert_eq!(nodes[0].from[0].blocks[0].name, "graph1_conv1");
    assert_eq!(nodes[1].from[0].blocks[0].name, "graph1_conv2");
    assert_eq!(nodes[1].join, Join::Concat);
    // What is shown is a configuration of the same plan.
    let again = Case::new(&resolved.to_toml(false)).resolve().unwrap();
    assert_eq!(again.plan, resolved.plan);
    let refused = |edges: &str, text: &str| {
        let e = graph(edges).error();
        assert!(e.text.contains(text), "{e}");
    };
    refused(
        r#"{ name = "a", from = [{ source = "b" }] }"#,
        "starts at `b`, which is not a node before it",
    );
    refused(
        &format!(
            r#"{{ name = "a", from = [{{ source = "input" }}, {{ source = "input", blocks = {two} }}] }}"#
        ),
        "cannot join [1, 8, 8] and [2, 8, 8]",
    );
    refused(r#"{ name = "a", from = [] }"#, "node `a` has no edges");
    refused(
        r#"{ name = "a", from = [{ source = "input" }] }, { name = "b", from = [{ source = "input" }] }"#,
        "nothing reads node `a`",
    );
    refused(
        r#"{ name = "input", from = [{ source = "input" }] }"#,
        "two nodes are named `input`",
    );
    refused("", "the graph has no nodes");
}

#[path = "random_tests.rs"]
mod random_configurations;

#[path = "reference_tests.rs"]
mod reference_page;

#[path = "preset_tests.rs"]
mod presets_against_the_source;

#[path = "unread_tests.rs"]
mod settings_that_nothing_reads;

#[path = "number_tests.rs"]
mod numbers_and_words;

/// The rule of every layer that names none, inside residual blocks too, and no other.
#[test]
fn a_rule_at_the_top_is_that_of_layers_without_one() {
    let case = Case::new(
        r#"
        rule = { name = "kolen-pollack", init = "xavier" }
        [[blocks]]
        name = "one"
        layer = "conv"
        kernel = 3
        padding = 1
        out = 3
        rule = "backprop"
        [[blocks]]
        name = "two"
        [[blocks.residual.blocks]]
        name = "inner"
        layer = "conv"
        kernel = 3
        padding = 1
        out = 3
        [[blocks]]
        name = "last"
        layer = "dense"
        out = "classes"
        "#,
    );
    let plan = case.resolve().unwrap().plan;
    let rules: Vec<(&str, usize)> = every_block(&plan.blocks)
        .into_iter()
        .filter_map(|b| b.layer.as_ref())
        .map(|l| (l.rule.as_str(), l.params.len()))
        .collect();
    let shared = ("kolen-pollack", 1);
    assert_eq!(rules, [("backprop", 0), shared, shared]);
    let set = case.set("rule=feedback-alignment/fa");
    let (rule, from) = set.row("blocks.last.rule.name");
    assert_eq!(rule, "\"feedback-alignment/fa\"");
    assert_eq!(from, "`--set rule`");
}

#[test]
fn every_shipped_configuration_resolves() {
    let mut pending = vec![PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../configs")];
    let mut names = std::collections::BTreeSet::new();
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
            let sources = Sources {
                files: vec![path.clone()],
                ..Sources::default()
            };
            let table = merge(&sources).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            let name = match is_search(&table) {
                true => search(table, &Offline).and_then(|found| {
                    found.pattern(&Offline)?;
                    Ok(found.name)
                }),
                false => resolve_table(table, &Offline).map(|resolved| resolved.plan.name),
            };
            let name = name.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            assert!(names.insert(name.clone()), "two are named {name}");
        }
    }
    assert!(names.len() > 40, "{names:?}");
}
