//! Networks of normal and reduction cells (Liu et al. 2019).

use super::filling::{Filling, Position};
use super::size::{Size, Stem};
use super::wiring::{Wiring, edge};
use crate::Result;
use crate::plan::{ActivationPlan, BlockPlan, Join, PoolKind, PoolPlan, SidePlan, shapes::INPUT};
use crate::search::space::Style;
use crate::search::space::template::{Axis, batch_norm, pool, reduction, relu, relu_conv_norm};

/// Channels of the stem for small images, as a multiple of the cells'.
const STEM: usize = 3;

pub(super) fn blocks(filling: &dyn Filling, size: &Size, style: &Style) -> Result<Vec<BlockPlan>> {
    let c = size.channels;
    let mut all = Vec::new();
    let mut wiring = Wiring::default();
    // The two values before the first cell.
    let mut before = match size.stem {
        Stem::Cifar => {
            all.push(stem_conv(style, "stem-conv0", STEM * c, 1));
            [INPUT.to_owned(), INPUT.to_owned()]
        }
        Stem::ImageNet => {
            let mut first = stem_conv(style, "stem0-conv0", c / 2, 2);
            first.activation = Some(ActivationPlan::Relu);
            all.extend([first, stem_conv(style, "stem0-conv3", c, 2)]);
            let second = vec![
                relu("stem1-relu".to_owned()),
                stem_conv(style, "stem1-conv1", c, 2),
            ];
            let second = wiring.add("stem1".to_owned(), Join::Sum, vec![edge(INPUT, second)]);
            [INPUT.to_owned(), second]
        }
    };
    let mut halved = size.stem == Stem::ImageNet;
    let mut channels = c;
    for index in 0..size.cells {
        let reduces = size.is_reduction(index);
        channels *= if reduces { 2 } else { 1 };
        let place = Position {
            index,
            kind: if reduces { "reduce" } else { "normal" },
            channels,
            reduces,
            halved,
        };
        let mut output = add_cell(&mut wiring, filling, &place, &before, style);
        if let Some(weight) = size.auxiliary.filter(|_| index == size.auxiliary_cell()) {
            let mut head = BlockPlan::new("aux");
            let blocks = auxiliary(size.stem, style);
            head.side = Some(SidePlan { weight, blocks });
            let name = format!("{output}-aux");
            output = wiring.add(name, Join::Sum, vec![edge(&output, vec![head])]);
        }
        before = [before[1].clone(), output];
        halved = reduces;
    }
    let mut cells = BlockPlan::new("cells");
    cells.graph = Some(wiring.graph());
    cells.pool = Some(everything());
    all.extend([cells, style.classifier("classifier")]);
    Ok(all)
}

fn add_cell(
    wiring: &mut Wiring,
    filling: &dyn Filling,
    at: &Position,
    before: &[String; 2],
    style: &Style,
) -> String {
    let (i, c) = (at.index, at.channels);
    let mut names = Vec::new();
    for (input, source) in before.iter().enumerate() {
        let name = format!("cell{i}-pre{input}");
        let blocks = match (input, at.halved) {
            (0, true) => reduction(style, &name, style.outside(), c),
            _ => relu_conv_norm(style, &name, c),
        };
        names.push(wiring.add(name, Join::Sum, vec![edge(source, blocks)]));
    }
    wiring.fill(filling, at, names)
}

/// A 3×3 convolution of a stem, normalised with gain and shift, also in a supernet.
fn stem_conv(style: &Style, name: &str, out: usize, stride: usize) -> BlockPlan {
    let axis = Axis::same(3, stride, 1);
    let mut block = style.square(name.to_owned(), style.outside(), out, axis);
    block.norm_inner = Some(batch_norm(true));
    block
}

/// The mean of the whole map.
pub(super) fn everything() -> PoolPlan {
    PoolPlan {
        kind: PoolKind::Avg,
        kernel: [0, 0],
        stride: [1, 1],
        padding: [0, 0],
        count_include_pad: true,
    }
}

/// The auxiliary head: a mean of 5×5 pixels, 1×1 to 128 and 2×2 to 768 channels, a linear
/// classifier.
fn auxiliary(stem: Stem, style: &Style) -> Vec<BlockPlan> {
    // Maps are 8×8 behind small images, 7×7 behind large ones.
    let stride = match stem {
        Stem::Cifar => 3,
        Stem::ImageNet => 2,
    };
    let mut mean = pool("aux-pool1".to_owned(), PoolKind::Avg, 5, stride, 0);
    mean.activation = Some(ActivationPlan::Relu);
    let mut narrow = style.square("aux-conv2".to_owned(), style.outside(), 128, Axis::one(1));
    narrow.norm_inner = Some(batch_norm(true));
    narrow.activation = Some(ActivationPlan::Relu);
    let whole = Axis {
        kernel: 2,
        ..Axis::one(1)
    };
    let mut wide = style.square("aux-conv5".to_owned(), style.outside(), 768, whole);
    // The published head for ImageNet has none here.
    wide.norm_inner = (stem == Stem::Cifar).then(|| batch_norm(true));
    wide.activation = Some(ActivationPlan::Relu);
    vec![mean, narrow, wide, style.classifier("aux-classifier")]
}
