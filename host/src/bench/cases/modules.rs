//! What stands around a layer, as the network's modules run it: normalisation,
//! activation, pooling; and padding. A row is one module, forward or backward.

use candle_core::{DType, Tensor};
use serde_json::{Value, json};

use super::super::case::{Bench, Case, Cost, Named, Work, noise};
use crate::nn::build::Placement;
use crate::nn::pass::Kept;
use crate::nn::{Clock, InputShape, LayerShape, Mode, Network, Pass, Rule, RuleSource};
use crate::ops::{PadMode, conv};
use crate::plan::{
    ActivationPlan, BlockPlan, Drive, LayerPlan, NormKind, NormPlan, PoolKind, PoolPlan,
};
use crate::{Error, Result};

/// Agreement of element-wise arithmetic and of sums over a channel in `f32`.
const TOLERANCE: f64 = 2e-5;

/// Rows that are about one module.
struct Row {
    /// Starts the name.
    what: String,
    /// Ends it, after the sizes: `-forward` where the direction does not come first.
    after: &'static str,
    block: BlockPlan,
    /// `[C, H, W]`.
    dims: [usize; 3],
    backward: bool,
    /// The block learns: batch statistics.
    training: bool,
    torch: &'static str,
    params: Value,
    /// How often the input's bytes move at least, forward and backward.
    moves: f64,
}

const BATCH: usize = 10;

fn nothing() -> BlockPlan {
    BlockPlan::new("block")
}

/// `batchnorm-{forward,backward}-{train,frozen}-…`.
fn norms() -> Vec<Row> {
    let mut rows = Vec::new();
    for dims in [[96, 32, 32], [384, 16, 16]] {
        for training in [true, false] {
            for backward in [false, true] {
                let direction = if backward { "backward" } else { "forward" };
                let mode = if training { "train" } else { "frozen" };
                let norm = NormPlan {
                    kind: NormKind::Batch,
                    affine: false,
                    eps: 1e-5,
                    momentum: 0.1,
                };
                rows.push(Row {
                    what: format!("batchnorm-{direction}-{mode}"),
                    after: "",
                    block: BlockPlan {
                        norm: Some(norm),
                        ..nothing()
                    },
                    dims,
                    backward,
                    training,
                    torch: "batchnorm",
                    params: json!({"training": training}),
                    moves: if backward { 3.0 } else { 2.0 },
                });
            }
        }
    }
    rows
}

/// `triangle-{forward,backward}-…` with the powers of the three-layer network,
/// and `softmax-{forward,backward}-…` over channels.
fn activations() -> Vec<Row> {
    let triangle = |power: f64, dims| {
        let params = json!({"power": power});
        (
            format!("-{power}"),
            "triangle",
            ActivationPlan::Triangle { power },
            params,
            dims,
        )
    };
    let softmax = |dims| {
        let plan = ActivationPlan::Softmax { gain: 1.0 };
        (String::new(), "softmax", plan, json!({}), dims)
    };
    let kinds = [
        triangle(0.7, [96, 32, 32]),
        triangle(1.4, [384, 16, 16]),
        softmax([96, 32, 32]),
        softmax([1536, 8, 8]),
    ];
    let mut rows = Vec::new();
    for (setting, torch, plan, params, dims) in kinds {
        for (backward, direction) in [(false, "forward"), (true, "backward")] {
            rows.push(Row {
                what: format!("{torch}-{direction}{setting}"),
                after: "",
                block: BlockPlan {
                    activation: Some(plan.clone()),
                    ..nothing()
                },
                dims,
                backward,
                training: true,
                torch,
                params: params.clone(),
                moves: if backward { 3.0 } else { 2.0 },
            });
        }
    }
    rows
}

/// `pool-{max,avg}-KERNEL-STRIDE-PADDING-…-{forward,backward}`.
fn pools() -> Vec<Row> {
    let windows = [
        ([4, 2, 1], [96, 32, 32]),
        ([4, 2, 1], [384, 16, 16]),
        ([2, 2, 0], [96, 32, 32]),
        ([2, 2, 0], [1536, 8, 8]),
        ([3, 1, 1], [96, 32, 32]),
    ];
    let mut rows = Vec::new();
    for (kind, word) in [(PoolKind::Max, "max"), (PoolKind::Avg, "avg")] {
        for ([kernel, stride, padding], dims) in windows {
            for (backward, after) in [(false, "-forward"), (true, "-backward")] {
                let pool = PoolPlan {
                    kind,
                    kernel: [kernel; 2],
                    stride: [stride; 2],
                    padding: [padding; 2],
                    count_include_pad: true,
                };
                rows.push(Row {
                    what: format!("pool-{word}-{kernel}-{stride}-{padding}"),
                    after,
                    block: BlockPlan {
                        pool: Some(pool),
                        ..nothing()
                    },
                    dims,
                    backward,
                    training: true,
                    torch: "pool",
                    params: json!({
                        "kind": word, "kernel": kernel, "stride": stride, "padding": padding,
                    }),
                    moves: 1.0 + 1.0 / (stride * stride) as f64,
                });
            }
        }
    }
    rows
}

/// All of them, and `reflect-pad-96x16x16-b10`.
pub fn cases() -> Vec<Case> {
    let rows = norms().into_iter().chain(activations()).chain(pools());
    let mut cases: Vec<Case> = rows.map(case).collect();
    cases.push(Case {
        name: format!("reflect-pad-96x16x16-b{BATCH}"),
        make: Box::new(|bench| {
            let x = noise(1, &[BATCH, 96, 16, 16], &bench.device)?;
            Ok(Box::new(Padded(x)))
        }),
        torch: "reflect-pad",
        params: json!({"padding": 1}),
        tolerance: 0.0,
    });
    cases
}

fn case(row: Row) -> Case {
    let [c, h, w] = row.dims;
    let mut params = row.params;
    params["use"] = json!(if row.backward { "backward" } else { "forward" });
    let (block, dims, backward, training, moves) =
        (row.block, row.dims, row.backward, row.training, row.moves);
    let coarse = block.activation.is_some();
    let make = move |bench: &Bench<'_>| -> Result<Box<dyn Work>> {
        let x = noise(1, &[vec![BATCH], dims.to_vec()].concat(), &bench.device)?;
        let x = if coarse { rounded(&x)? } else { x };
        Ok(Box::new(Single::new(
            bench, &block, x, backward, training, moves,
        )?))
    };
    Case {
        name: format!("{}-{c}x{h}x{w}-b{BATCH}{}", row.what, row.after),
        make: Box::new(make),
        torch: row.torch,
        params,
        tolerance: TOLERANCE,
    }
}

/// Multiples of 1/256: their sum over channels is the same in any order, and so
/// both sides see the same distances from the mean, at which the triangle's slope
/// has a pole.
fn rounded(x: &Tensor) -> Result<Tensor> {
    Ok(((x * 256.0)?.round()? / 256.0)?)
}

/// A network of one module.
struct Single {
    network: Network,
    x: Tensor,
    /// Gradient at the output, and what the module kept, for a row that goes back.
    back: Option<(Tensor, Kept)>,
    moves: f64,
}

impl Single {
    fn new(
        bench: &Bench<'_>,
        block: &BlockPlan,
        x: Tensor,
        backward: bool,
        training: bool,
        moves: f64,
    ) -> Result<Self> {
        let input = InputShape {
            dims: x.dims()[1..].to_vec(),
            outputs: 1,
        };
        let place = Placement {
            device: bench.device.clone(),
            dtype: DType::F32,
            seed: 0,
        };
        let blocks = std::slice::from_ref(block);
        let mut network = Network::build(blocks, &input, &NoRules, &place)?;
        if training {
            network.set_mode(&Mode {
                blocks: vec![block.name.clone()],
                drive: Some(Drive::Both),
            });
        }
        let mut back = None;
        if backward {
            let mut pass = Pass::gradient(Clock::default()).wanting_input();
            let y = network.forward_all(&mut pass, &x)?;
            back = Some((noise(2, y.dims(), &bench.device)?, pass.pop()?));
        }
        Ok(Self {
            network,
            x,
            back,
            moves,
        })
    }

    fn compute(&mut self) -> Result<Named> {
        let mut pass = Pass::gradient(Clock::default()).wanting_input();
        let Some((grad, kept)) = &self.back else {
            let y = self.network.forward_all(&mut pass, &self.x)?;
            return Ok(vec![("y".to_owned(), y)]);
        };
        pass.push(|| kept.clone());
        let gx = self.network.backward(&mut pass, grad, 0..1)?;
        let gx = gx.ok_or_else(|| Error::internal("the module gave no gradient"))?;
        Ok(vec![("gx".to_owned(), gx)])
    }
}

impl Work for Single {
    fn inputs(&self) -> Result<Named> {
        let mut inputs = vec![("x".to_owned(), self.x.clone())];
        if let Some((grad, _)) = &self.back {
            inputs.push(("g".to_owned(), grad.clone()));
        }
        Ok(inputs)
    }
    fn results(&mut self) -> Result<Named> {
        self.compute()
    }
    fn call(&mut self) -> Result<()> {
        self.compute().map(drop)
    }
    fn cost(&self) -> Cost {
        Cost {
            flop: 0.0,
            bytes: 4.0 * self.moves * self.x.elem_count() as f64,
        }
    }
}

/// A border of one pixel, mirrored.
struct Padded(Tensor);

impl Padded {
    fn compute(&self) -> Result<Tensor> {
        conv::pad(&self.0, [1; 4], PadMode::Reflect)
    }
}

impl Work for Padded {
    fn inputs(&self) -> Result<Named> {
        Ok(vec![("x".to_owned(), self.0.clone())])
    }
    fn results(&mut self) -> Result<Named> {
        Ok(vec![("y".to_owned(), self.compute()?)])
    }
    fn call(&mut self) -> Result<()> {
        self.compute().map(drop)
    }
    fn cost(&self) -> Cost {
        Cost {
            flop: 0.0,
            bytes: 8.0 * self.0.elem_count() as f64,
        }
    }
}

/// These networks have no layers.
struct NoRules;

impl RuleSource for NoRules {
    fn bind(&self, plan: &LayerPlan, _layer: &LayerShape, _dtype: DType) -> Result<Box<dyn Rule>> {
        Err(Error::internal(format!("no rule `{}` here", plan.rule)))
    }
}
