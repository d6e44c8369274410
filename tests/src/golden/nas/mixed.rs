//! Files of single mixed edges, with all channels or a part of them: the candidates of a space, with
//! the real plugins, kept and recomputed.

use biorule::config::{
    BlockPlan, CandidatePlan, Drive, EdgePlan, GraphPlan, Join, MixedPlan, NodePlan,
};
use biorule::nn::{Clock, Mixture, Mode, Pass, Tables, Wants};
use biorule::search::relax::{softmax, softmax_product};
use biorule::search::space::{Space, Style, template};
use candle_core::DType;

use super::maths::space;
use super::names::Names;
use super::{Outcome, compare_all};
use crate::Result;
use crate::golden::{Checks, File, Recogniser};

/// Kinds of files.
pub(super) fn recognisers() -> Vec<Recogniser> {
    vec![Recogniser {
        name: "mixed",
        understands: |file| file.has("alpha") && file.has("dalpha"),
        run,
    }]
}

/// The edge as the last of one node.
fn blocks(space: &Space, [channels, stride]: [usize; 2], recompute: bool) -> Vec<BlockPlan> {
    let style = Style {
        pool_norm: space.pool_norm,
        ..Style::default()
    };
    let channels = channels / space.partial;
    let candidates = space.candidates.iter().enumerate().map(|(k, primitive)| {
        let name = format!("op{k}");
        CandidatePlan {
            blocks: template::blocks(primitive, &style, &name, channels, stride),
            name,
        }
    });
    let mixed = MixedPlan {
        table: "edge".to_owned(),
        row: 0,
        candidates: candidates.collect(),
        recompute,
    };
    let edge = EdgePlan {
        partial: space.partial,
        ..EdgePlan::mixed("input", mixed)
    };
    let mut block = BlockPlan::new("cell");
    block.graph = Some(GraphPlan {
        nodes: vec![NodePlan {
            name: "out".to_owned(),
            join: Join::Sum,
            from: vec![edge],
        }],
    });
    vec![block]
}

fn run(file: &File, checks: &mut Checks) -> Result<()> {
    let is_input = |name: &str| ["alpha", "x", "g"].contains(&name) || name.starts_with("w.");
    compare_all(file, checks, &is_input, &|dtype, recompute| {
        outcome(file, dtype, recompute)
    })
}

fn outcome(file: &File, dtype: DType, recompute: bool) -> Result<Outcome<'_>> {
    let mut space = space(&file.json("space")?)?;
    if file.find("k").is_some() {
        assert_eq!(space.partial, file.count("k")?);
    } else {
        space.partial = 1;
    }
    let x = file.tensor("x")?.to_dtype(dtype)?;
    let g = file.tensor("g")?.to_dtype(dtype)?;
    let stride = x.dims()[2] / g.dims()[2];
    let blocks = blocks(&space, [x.dims()[1], stride], recompute);
    let tag = file.text("recipe_tag")?;
    let names = Names {
        prefix: format!("{tag}."),
        candidates: Vec::new(),
    };
    let own = |name: &str| name.trim_start_matches(&names.prefix).to_owned();
    let stored = |name: &str| file.tensor(&format!("w.{}", own(name))).ok();
    let mut network = names.network(&blocks, &x.dims()[1..], dtype, &stored)?;
    network.set_mode(&Mode {
        blocks: network.block_names(),
        drive: Some(Drive::Gradient),
    });
    let weights = softmax(&file.values("alpha")?);
    let mixture = Mixture {
        tables: Tables::from([("edge".to_owned(), vec![weights.clone()])]),
    };
    network.set_mixture(&mixture)?;
    let mut pass = Pass::gradient(Clock::default())
        .wanting(Wants::ALL)
        .wanting_input();
    let y = network.forward_all(&mut pass, &x)?;
    let all = 0..network.len();
    let dx = network.backward(&mut pass, &g, all)?;
    let by_weight = &pass.architecture.sums(&mixture)?["edge"][0];
    let mut out = Outcome::new(file, dtype);
    if file.has("softmax") {
        out.numbers("softmax", weights.clone())?;
    }
    out.numbers("dalpha", softmax_product(&weights, by_weight))?;
    out.tensor("y", &y);
    out.tensor("dx", &dx.ok_or("no gradient came out below")?);
    for (full, gradient) in &pass.gradients {
        let (_, name) = names.of(full).ok_or("a gradient without a name")?;
        out.tensor(&format!("grad.{}", own(&name)), gradient);
    }
    Ok(out)
}
