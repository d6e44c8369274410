//! Forms of genotypes, and what is refused.

use super::*;
use crate::search::space::{Operation, Primitive};

const DARTS_TEXT: &str = "DARTS_V2 = Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=range(2, 6))";

fn refused(text: &str) -> Error {
    Genotype::read(text).expect_err(text)
}

#[test]
fn every_published_genotype_goes_through_each_form() {
    for name in published::names() {
        let one = Genotype::published(name).expect(name).expect(name);
        assert_eq!(one.name, name);
        assert!(published::source(name).is_some(), "{name}");
        let json = Genotype::read(&one.to_json_text()).expect(name);
        assert_eq!(json, one);
        let text = Genotype::read(&one.to_text().expect(name)).expect(name);
        assert_eq!(text.key(), one.key());
        assert_eq!(text.hash(), one.hash());
    }
    let alias = Genotype::published("BIODARTS2")
        .expect("there")
        .expect("read");
    assert_eq!(alias.name, "BIODARTS");
}

#[test]
fn text_of_darts_and_its_log_are_read() {
    let own = Genotype::published("DARTS_V2")
        .expect("there")
        .expect("read");
    let read = Genotype::read(DARTS_TEXT).expect("text");
    assert_eq!(read, own);
    let quoted = DARTS_TEXT
        .replace('\'', "\"")
        .replace(", ", ",\n  # a remark\n  ");
    assert_eq!(Genotype::read(&quoted).expect("text"), own);
    // A log has one for each epoch; the last counts.
    let other = DARTS_TEXT
        .replace("DARTS_V2", "x")
        .replace("dil_conv_3x3", "dil_conv_5x5");
    let line = |text: &str| {
        format!(
            "01/02 03:04:05 PM genotype = {}\n",
            text.split(" = ").nth(1).expect("a text")
        )
    };
    let log = format!(
        "epoch 0\n{}train 000\n{}valid_acc 1\n",
        line(&other),
        line(DARTS_TEXT)
    );
    let last = Genotype::read(&log).expect("a log");
    assert_eq!((last.key(), last.name.as_str()), (own.key(), ""));
    let both = format!("{DARTS_TEXT}\n{other}\n");
    assert!(refused(&both).text.contains("`DARTS_V2`, `x`"));
}

#[test]
fn suffixes_of_bionas_are_rules() {
    let text = DARTS_TEXT
        .replacen("sep_conv_3x3", "sep_conv_3x3_fr", 1)
        .replacen("skip_connect", "skip_connect_f", 1)
        .replacen("dil_conv_3x3", "dil_conv_3x3@softhebb", 1);
    let read = Genotype::read(&text).expect("text");
    let normal = &read.cells["normal"].edges;
    assert_eq!(
        normal[0].op.to_string(),
        "sep_conv_3x3@feedback-alignment/frsf"
    );
    assert_eq!(
        normal[5].op.to_string(),
        "skip_connect@feedback-alignment/frsf"
    );
    assert_eq!(normal[7].op.to_string(), "dil_conv_3x3@softhebb");
    assert_eq!(normal[6].op.to_string(), "skip_connect");
    let again = Genotype::read(&read.to_text().expect("text")).expect("text");
    assert_eq!(again.key(), read.key());
}

#[test]
fn strings_of_nasbench201_go_both_ways() {
    let text =
        "|nor_conv_3x3~0|+|nor_conv_1x1~0|avg_pool_3x3~1|+|skip_connect~0|none~1|nor_conv_3x3~2|";
    let read = Genotype::read(text).expect("a string");
    assert_eq!(read.to_text().expect("a string"), text);
    assert_eq!(read.cells["cell"].edges.len(), 6);
    assert_eq!(Genotype::read(&read.to_json_text()).expect("json"), read);
    for (bad, says) in [
        ("|nor_conv_3x3~0|+nor_conv_1x1~0|", "column 18"),
        ("|nor_conv_3x3|", "column 2"),
        ("|nor_conv_3x3~0|+|nor_conf_1x1~0|none~1|", "column 19"),
        ("|nor_conv_3x3~x|", "column 2"),
        ("|nor_conv_3x3~1|", "node 1 to node 1"),
    ] {
        assert!(
            refused(bad).text.contains(says),
            "{bad}: {}",
            refused(bad).text
        );
    }
}

#[test]
fn syntax_is_refused_with_line_and_column() {
    for (find, replace, says) in [
        (
            "('skip_connect', 0)",
            "('skip_connect' 0)",
            "line 1, column 150: expected `,`, there is `0`",
        ),
        (
            "'max_pool_3x3', 1)], reduce_c",
            "'max_pool_3x3, 1)], reduce_c",
            "quote",
        ),
        (
            "'sep_conv_3x3', 0",
            "'sep_konv_3x3', 0",
            "line 1, column 31: unknown operation `sep_konv_3x3`",
        ),
        (
            "'sep_conv_3x3', 0",
            "'sep_conv_3x3', x",
            "`x` is not the number of a node",
        ),
        (
            "reduce_concat",
            "redux_concat",
            "unknown field `redux_concat`",
        ),
        ("range(2, 6)", "rang(2, 6)", "`rang`"),
        ("('sep_conv_3x3', 0), ", "", "7 entries"),
        (
            ", reduce_concat=range(2, 6)",
            "",
            "`reduce_concat` is missing",
        ),
        ("range(2, 6))", "range(2, 6)", "the text ends"),
        ("normal_concat", "reduce_concat", "stands twice"),
    ] {
        let text = DARTS_TEXT.replacen(find, replace, 1);
        let e = refused(&text);
        assert!(e.text.contains(says), "{says}: {}", e.text);
        assert!(e.text.contains("line "), "{}", e.text);
    }
    let e = refused("{\n  \"schema_version\": 1,\n  \"normal\": [,\n}");
    assert!(e.text.starts_with("line 3, column 14"), "{}", e.text);
    assert!(refused("hello").text.contains("line 1"));
}

fn json(change: impl FnOnce(&mut Value)) -> Result<Genotype> {
    let mut value = Genotype::published("DARTS_V1").expect("there")?.to_json();
    change(&mut value);
    Genotype::read(&value.to_string())
}

#[test]
fn json_is_refused_with_the_path() {
    type Change = Box<dyn FnOnce(&mut Value)>;
    let set = |path: &'static str, v: Value| -> Change {
        Box::new(move |value: &mut Value| {
            *value.pointer_mut(path).expect(path) = v;
        })
    };
    let cases: Vec<(Change, &str)> = vec![
        (
            set("/normal/edges/3/from", 3.into()),
            "`normal.edges[3]` (`sep_conv_3x3`) goes from node 3 to node 3",
        ),
        (
            set("/normal/edges/3/from", (-1).into()),
            "`normal.edges[3].from` is -1",
        ),
        (
            set("/normal/edges/3/from", 1e9.into()),
            "`normal.edges[3].from`",
        ),
        (
            set("/reduce/edges/0/op", "maxpool".into()),
            "`reduce.edges[0].op`: unknown operation `maxpool`",
        ),
        (
            set("/reduce/edges/0/op", 3.into()),
            "`reduce.edges[0].op` is 3",
        ),
        (
            set("/reduce/concat", Value::Array(Vec::new())),
            "`reduce.concat` is empty",
        ),
        (
            set("/normal/concat", vec![2, 3, 4].into()),
            "node 5 of cell `normal` is the source of no edge",
        ),
        (
            set("/normal/concat", vec![2, 3, 4, 5, 6].into()),
            "node 6 of cell `normal` has no edges",
        ),
        (
            set("/normal/concat", vec![1, 2, 3, 4, 5].into()),
            "an input",
        ),
        (set("/normal/concat", vec![2, 2, 3, 4, 5].into()), "twice"),
        (
            set("/normal/edges", Value::Array(Vec::new())),
            "node 2 of cell `normal` has no edges",
        ),
        (set("/schema_version", 2.into()), "`schema_version` is 2"),
        (set("/network", "dart".into()), "unknown network `dart`"),
        (
            Box::new(|v| drop(v.as_object_mut().expect("object").remove("schema_version"))),
            "no genotype of ours",
        ),
        (
            Box::new(|v| drop(v.as_object_mut().expect("object").remove("reduce"))),
            "no cell `reduce`",
        ),
        (
            Box::new(|v| {
                v["normal"]["edges"]
                    .as_array_mut()
                    .expect("edges")
                    .truncate(6)
            }),
            "node 5 of cell `normal` has no edges",
        ),
        (
            Box::new(|v| v["normal"]["edge"] = 1.into()),
            "unknown key `edge` in `normal`",
        ),
        (
            Box::new(|v| v["normals"] = 1.into()),
            "unknown key `normals`",
        ),
        (Box::new(|v| v["rules"] = 1.into()), "`rules` is 1"),
    ];
    for (change, says) in cases {
        let e = json(change).expect_err(says);
        assert!(e.text.contains(says), "{says}: {}", e.text);
    }
    assert!(refused("[]").text.contains("no genotype of ours"));
    assert!(
        refused("{\"normal/op_2_0\": \"sep_conv_3x3\"}")
            .text
            .contains("no genotype of ours")
    );
}

#[test]
fn a_rule_may_stand_apart_and_has_hyperparameters() {
    let one = json(|v| {
        v["normal"]["edges"][0]["rule"] = "usf".into();
        v["normal"]["edges"][1]["op"] = "sep_conv_3x3@softhebb".into();
        v["rules"] =
            serde_json::json!({"softhebb": {"lr": 0.08, "delta": 2, "preset": "x", "flag": true}});
    })
    .expect("a genotype");
    let edges = &one.cells["normal"].edges;
    assert_eq!(edges[0].op.rule(), "feedback-alignment/usf");
    assert_eq!(one.params["softhebb"].len(), 4);
    assert_eq!(Genotype::read(&one.to_json_text()).expect("json"), one);
    let plain = json(|_| {}).expect("a genotype");
    assert_ne!(plain.key(), one.key());
    let both = json(|v| {
        v["normal"]["edges"][0]["op"] = "sep_conv_3x3@usf".into();
        v["normal"]["edges"][0]["rule"] = "usf".into();
    });
    assert!(both.expect_err("two rules").text.contains("names a rule"));
    let pool = json(|v| v["reduce"]["edges"][0]["rule"] = "usf".into());
    assert!(
        pool.expect_err("a pool")
            .text
            .contains("no layer for a rule")
    );
}

#[test]
fn the_key_does_not_see_the_order_of_a_node() {
    let one = json(|_| {}).expect("a genotype");
    let mut other = one.clone();
    other.name = "other".to_owned();
    other
        .cells
        .get_mut("normal")
        .expect("a cell")
        .edges
        .swap(0, 1);
    assert_eq!(one.hash(), other.hash());
    other.cells.get_mut("normal").expect("a cell").edges[0].op = Primitive::plain(Operation::None);
    assert_ne!(one.hash(), other.hash());
}

#[test]
fn a_drawing_names_every_edge_once_and_puts_labels_apart() {
    for name in published::names() {
        let one = Genotype::published(name).expect(name).expect(name);
        let drawing = svg::draw(&one);
        let edges = one.cells.values().map(|c| c.edges.len()).sum::<usize>();
        assert_eq!(drawing.matches("<path class=\"edge\"").count(), edges);
        assert_eq!(drawing.matches("class=\"paper\"").count(), edges);
        for rule in one.rules().keys() {
            assert!(
                drawing.contains(&format!(">{rule}</text>")),
                "{name} {rule}"
            );
        }
        assert!(drawing.contains("prefers-color-scheme: dark"));
        // Boxes of labels do not overlap.
        let number = |line: &str, key: &str| -> i64 {
            let rest = line.split(&format!(" {key}=\"")).nth(1).expect(key);
            rest.split('"').next().expect(key).parse().expect(key)
        };
        let boxes: Vec<[i64; 4]> = drawing
            .lines()
            .filter(|l| l.contains("class=\"paper\""))
            .map(|l| ["x", "y", "width", "height"].map(|k| number(l, k)))
            .collect();
        for (i, a) in boxes.iter().enumerate() {
            for b in &boxes[i + 1..] {
                let apart = |k: usize| a[k] + a[k + 2] <= b[k] || b[k] + b[k + 2] <= a[k];
                assert!(apart(0) || apart(1), "{name}: {a:?} {b:?}");
            }
        }
    }
}
