//! Networks of NAS-Bench-201 (Dong and Yang 2020): a convolution, three stages of cells, between
//! them residual blocks that halve the maps, and a linear classifier.

use super::darts::everything;
use super::filling::{Filling, Position};
use super::size::Size;
use super::wiring::{Wiring, edge};
use crate::Result;
use crate::plan::{ActivationPlan, BlockPlan, Join, PoolKind, shapes::INPUT};
use crate::search::space::Style;
use crate::search::space::template::{Axis, batch_norm, pool, relu};

const STAGES: usize = 3;

pub(super) fn blocks(filling: &dyn Filling, size: &Size, style: &Style) -> Result<Vec<BlockPlan>> {
    let mut stem = conv(style, "stem-conv0", size.channels, Axis::same(3, 1, 1));
    stem.norm_inner = Some(batch_norm(true));
    let each = size.cells / STAGES;
    let mut wiring = Wiring::default();
    let mut value = INPUT.to_owned();
    let mut channels = size.channels;
    for index in 0..size.cells {
        if index > 0 && index.is_multiple_of(each) {
            channels *= 2;
            value = residual(
                &mut wiring,
                &format!("reduce{}", index / each),
                channels,
                &value,
                style,
            );
        }
        let place = Position {
            index,
            kind: "cell",
            channels,
            reduces: false,
            halved: false,
        };
        value = wiring.fill(filling, &place, vec![value]);
    }
    let mut cells = BlockPlan::new("cells");
    cells.graph = Some(wiring.graph());
    cells.norm_inner = Some(batch_norm(true));
    cells.activation = Some(ActivationPlan::Relu);
    cells.pool = Some(everything());
    Ok(vec![stem, cells, style.classifier("classifier")])
}

fn conv(style: &Style, name: &str, out: usize, axis: Axis) -> BlockPlan {
    style.square(name.to_owned(), style.outside(), out, axis)
}

/// Two 3×3 convolutions, the first of stride 2, beside a mean of 2×2 pixels and a 1×1
/// convolution. `[C, H, W]` to `[channels, H/2, W/2]`.
fn residual(
    wiring: &mut Wiring,
    name: &str,
    channels: usize,
    input: &str,
    style: &Style,
) -> String {
    let mut inner = Vec::new();
    for (i, stride) in [2, 1].into_iter().enumerate() {
        let axis = Axis::same(3, stride, 1);
        let mut block = conv(style, &format!("{name}-conv{i}"), channels, axis);
        block.norm_after = Some(style.norm());
        inner.extend([relu(format!("{name}-relu{i}")), block]);
    }
    let beside = vec![
        pool(format!("{name}-mean"), PoolKind::Avg, 2, 2, 0),
        conv(style, &format!("{name}-beside"), channels, Axis::one(1)),
    ];
    let edges = vec![edge(input, inner), edge(input, beside)];
    wiring.add(name.to_owned(), Join::Sum, edges)
}
