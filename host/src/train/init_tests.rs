//! What is taken from a file of tensors, and what is not.

use super::*;
use crate::plan::LayerPlan;
use crate::testing::plan_of;
use candle_core::{DType, Device};
use std::sync::Arc;

fn blocks() -> Vec<BlockPlan> {
    let text = "
        name = \"n\"
        data = \"digits\"
        rule = \"backprop\"
        [[blocks]]
        name = \"conv1\"
        layer = \"conv\"
        kernel = 3
        out = 4
        [[blocks]]
        name = \"readout\"
        layer = \"dense\"
        out = \"classes\"
    ";
    let blocks = plan_of(text).blocks;
    assert!(
        blocks
            .iter()
            .all(|b| matches!(b.layer, Some(LayerPlan { .. })))
    );
    blocks
}

fn zeros(dims: &[usize]) -> Tensor {
    Tensor::zeros(dims, DType::F32, &Device::Cpu).unwrap()
}

fn slots() -> Vec<NamedTensor> {
    let slot = |name: &str, dims: &[usize], role| NamedTensor {
        name: Arc::from(name),
        tensor: zeros(dims),
        role,
        learns: false,
    };
    vec![
        slot("blocks.conv1.layer.weight", &[4, 1, 3, 3], Role::Weight),
        slot("blocks.conv1.layer.feedback", &[10, 4], Role::FixedFeedback),
        slot("blocks.readout.layer.weight", &[10, 8], Role::Weight),
        slot("blocks.readout.layer.bias", &[10], Role::Bias),
    ]
}

/// Names taken, and names that are new.
fn matched(
    file: &[(&str, &[usize])],
    wanted: Option<&[(&str, &str)]>,
) -> Result<(Vec<String>, Vec<String>)> {
    let file: HashMap<String, Tensor> = file
        .iter()
        .map(|(name, dims)| ((*name).to_owned(), zeros(dims)))
        .collect();
    let plan = InitPlan {
        from: "there".into(),
        blocks: wanted.map(|list| {
            list.iter()
                .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
                .collect()
        }),
    };
    let blocks = blocks();
    let found = Matching {
        file: &file,
        blocks: &blocks,
        plan: &plan,
    }
    .all(&slots())?;
    let taken = found
        .taken
        .into_iter()
        .map(|(slot, _)| slot.name.to_string());
    Ok((taken.collect(), found.new.into_keys().collect()))
}

const CONV: (&str, &[usize]) = ("blocks.conv1.layer.weight", &[4, 1, 3, 3]);
const FEEDBACK: (&str, &[usize]) = ("blocks.conv1.layer.feedback", &[10, 4]);
const WEIGHT: (&str, &[usize]) = ("blocks.readout.layer.weight", &[10, 8]);
const BIAS: (&str, &[usize]) = ("blocks.readout.layer.bias", &[10]);

#[test]
fn the_same_network_is_taken_whole() {
    let (taken, new) = matched(&[CONV, FEEDBACK, WEIGHT, BIAS], None).unwrap();
    assert_eq!((taken.len(), new.len()), (4, 0));
}

#[test]
fn another_number_of_classes_makes_readout_and_feedback_new() {
    let file: [(&str, &[usize]); 4] = [
        CONV,
        ("blocks.conv1.layer.feedback", &[2, 4]),
        ("blocks.readout.layer.weight", &[2, 8]),
        ("blocks.readout.layer.bias", &[2]),
    ];
    let (taken, new) = matched(&file, None).unwrap();
    assert_eq!(taken, [CONV.0]);
    assert_eq!(new.len(), 3);
    // One tensor that fits is no reason to take half a read-out.
    let (taken, _) = matched(
        &[
            CONV,
            FEEDBACK,
            ("blocks.readout.layer.weight", &[10, 9]),
            BIAS,
        ],
        None,
    )
    .unwrap();
    assert_eq!(taken, [CONV.0, FEEDBACK.0]);
}

#[test]
fn another_shape_elsewhere_is_refused_unless_the_block_is_left_out() {
    let file: [(&str, &[usize]); 3] = [("blocks.conv1.layer.weight", &[4, 3, 3, 3]), WEIGHT, BIAS];
    let e = matched(&file, None).unwrap_err();
    assert_eq!(e.code, crate::ExitCode::Usage);
    assert!(e.text.contains("`blocks.conv1.layer.weight`"), "{e}");
    assert!(
        e.text
            .contains("[4, 1, 3, 3] here, [4, 3, 3, 3] in the file"),
        "{e}"
    );
    let (taken, new) = matched(&file, Some(&[("readout", "readout")])).unwrap();
    assert_eq!(taken, [WEIGHT.0, BIAS.0]);
    assert_eq!(new, [FEEDBACK.0, CONV.0]);
}

#[test]
fn blocks_of_other_names_and_programs_are_found() {
    let file: [(&str, &[usize]); 3] = [
        ("features.weight", &[4, 1, 3, 3]),
        ("fc.weight", &[10, 8]),
        ("fc.bias", &[10]),
    ];
    let wanted = [("conv1", "features"), ("readout", "fc")];
    let (taken, new) = matched(&file, Some(&wanted)).unwrap();
    assert_eq!(taken, [CONV.0, WEIGHT.0, BIAS.0]);
    assert_eq!(new, [FEEDBACK.0]);
    let e = matched(&file, Some(&[("conv1", "feature")])).unwrap_err();
    assert!(
        e.hint.as_ref().is_some_and(|h| h.contains("`features`")),
        "{e}"
    );
    let e = matched(&file, None).unwrap_err();
    assert!(e.text.contains("no tensor of this network"), "{e}");
}
