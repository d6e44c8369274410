//! Rules and plans for tests: back-propagation, feedback alignment, direct
//! feedback and a plain Hebbian rule, without the plugin boundary.

pub mod data;
pub mod differences;

use biorule::Result;
use biorule::config::plan::*;
use biorule::nn::*;
use biorule::ops::activation::activate;
use biorule::ops::dense;
use biorule::ops::dropout::mix;
use candle_core::{CpuStorage, DType, Device, Storage, Tensor};

/// Numbers in −1..1 that depend on `seed` and their index alone.
pub fn noise(seed: u64, dims: &[usize], dtype: DType) -> Tensor {
    let n: usize = dims.iter().product();
    let values: Vec<f64> = (0..n as u64)
        .map(|i| (mix(&[seed, i]) >> 11) as f64 / (1u64 << 52) as f64 - 1.0)
        .collect();
    Tensor::from_vec(values, dims, &Device::Cpu)
        .unwrap()
        .to_dtype(dtype)
        .unwrap()
}

/// What a toy rule does.
#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    Backprop,
    Alignment,
    Direct,
    Hebb,
    /// Hebb, from its input alone; computes no output while it learns.
    Blind,
    Supervised,
    Broken,
}

const SOFT: ActivationPlan = ActivationPlan::Softmax { gain: 4.0 };

/// A rule bound to a layer.
pub struct Toy {
    kind: Kind,
    shape: LayerShape,
    map: LayerMap,
    bias: bool,
}

fn state<'a>(state: &'a [StateTensor], name: &str) -> &'a Tensor {
    &state.iter().find(|s| s.name == name).unwrap().tensor
}

impl Toy {
    fn tensor(
        &self,
        name: &str,
        role: Role,
        seed: u64,
        dims: &[usize],
        dtype: DType,
    ) -> StateTensor {
        let scale = 1.0 / (self.map.fan_in() as f64).sqrt();
        StateTensor {
            name: name.into(),
            tensor: (noise(seed, dims, dtype) * scale).unwrap(),
            role,
        }
    }
}

impl Rule for Toy {
    fn name(&self) -> &str {
        "toy"
    }
    fn facts(&self) -> RuleFacts {
        RuleFacts {
            learns_from_input: self.kind == Kind::Blind,
            wants_target: self.kind == Kind::Supervised,
            ..RuleFacts::new(match self.kind {
                Kind::Backprop | Kind::Alignment | Kind::Broken => Credit::Feedback,
                Kind::Direct => Credit::Direct,
                Kind::Hebb | Kind::Blind | Kind::Supervised => Credit::Local,
            })
        }
    }
    fn init(&self, seed: u64, _: &Device, dtype: DType) -> Result<Vec<StateTensor>> {
        let map = &self.map;
        let dims = map.weight_dims();
        let plastic = matches!(self.kind, Kind::Hebb | Kind::Blind | Kind::Supervised);
        let role = if plastic { Role::Plastic } else { Role::Weight };
        let mut out = vec![self.tensor("weight", role, seed, &dims, dtype)];
        if self.bias && !plastic {
            out.push(self.tensor("bias", Role::Bias, seed + 1, &[map.units()], dtype));
        }
        if self.kind == Kind::Alignment {
            out.push(self.tensor("feedback", Role::FixedFeedback, seed + 2, &dims, dtype));
        }
        if let (Kind::Direct, LayerMap::Dense { inputs, .. }) = (self.kind, map) {
            let dims = [self.shape.classes, *inputs];
            out.push(self.tensor("feedback", Role::FixedFeedback, seed + 2, &dims, dtype));
        }
        Ok(out)
    }
    fn forward(&self, c: &RuleCall, s: &[StateTensor], x: &Tensor) -> Result<Forwarded> {
        assert!(
            self.kind != Kind::Blind || !c.learning,
            "an output that is discarded"
        );
        let mut y = self.map.forward(x, state(s, "weight"))?;
        if let Some(bias) = s.iter().find(|s| s.name == "bias") {
            y = dense::add_bias(&y, &bias.tensor)?;
        }
        if self.kind == Kind::Broken {
            y = y.narrow(1, 0, 1)?;
        }
        Ok(Forwarded { y, kept: vec![] })
    }
    fn learn(&self, c: &RuleCall, s: &[StateTensor], a: &Activity<'_>) -> Result<Vec<Change>> {
        let w = state(s, "weight");
        let post = match self.kind {
            Kind::Supervised => {
                // One-hot, as every layer gets it.
                a.target.expect("labels").to_dtype(a.y.dtype())?
            }
            Kind::Blind => {
                assert_eq!(a.y.elem_count(), 0);
                let (storage, _) = a.y.storage_and_layout();
                if let Storage::Cpu(CpuStorage::F32(memory)) = &*storage {
                    assert!(!memory.is_empty(), "a GPU has no memory of no bytes");
                }
                activate(&SOFT, &self.map.forward(a.x, w)?)?
            }
            // Soft competition over units, so that they come to differ.
            _ => activate(&SOFT, a.y)?,
        };
        let scale = (post.elem_count() as f64 / self.map.units() as f64).recip();
        let hebb = (self.map.correlate(a.x, &post)? * scale)?;
        let rate = c.rate.unwrap_or(0.01) / (1.0 + c.step as f64 * 0.01);
        Ok(vec![Change {
            name: "weight".into(),
            kind: ChangeKind::Add,
            tensor: ((hebb - w)? * rate)?,
        }])
    }
    fn backward(&self, _: &RuleCall, s: &[StateTensor], e: &Errors<'_>) -> Result<RuleGradients> {
        let map = &self.map;
        let mut out = RuleGradients::default();
        if e.want_grads {
            out.grads
                .push(("weight".into(), map.correlate(e.x, e.grad_y)?));
            if self.bias {
                out.grads
                    .push(("bias".into(), dense::channel_sum(e.grad_y)?));
            }
        }
        if e.want_grad_x {
            out.grad_x = Some(match self.kind {
                Kind::Alignment => map.feedback(e.grad_y, state(s, "feedback"))?,
                Kind::Direct => e.output_error.unwrap().matmul(state(s, "feedback"))?,
                _ => map.feedback(e.grad_y, state(s, "weight"))?,
            });
        }
        Ok(out)
    }
    fn metrics(&self, c: &RuleCall, s: &[StateTensor]) -> Result<Vec<(String, f64)>> {
        let norm = state(s, "weight").sqr()?.sum_all()?.to_dtype(DType::F64)?;
        let norm = norm.to_scalar::<f64>()?.sqrt();
        Ok(vec![("norm".into(), norm), ("age".into(), c.step as f64)])
    }
}

/// Toys by name: `backprop`, `fa`, `dfa`, `hebb`, `blind`, `supervised`, `broken`.
pub struct Toys;

impl RuleSource for Toys {
    fn bind(&self, plan: &LayerPlan, layer: &LayerShape, _: DType) -> Result<Box<dyn Rule>> {
        let kind = match plan.rule.as_str() {
            "backprop" => Kind::Backprop,
            "fa" => Kind::Alignment,
            "dfa" => Kind::Direct,
            "hebb" => Kind::Hebb,
            "blind" => Kind::Blind,
            "supervised" => Kind::Supervised,
            "broken" => Kind::Broken,
            other => return Err(biorule::Error::plugin(format!("no rule `{other}`"))),
        };
        Ok(Box::new(Toy {
            kind,
            shape: layer.clone(),
            map: LayerMap::new(&plan.map, layer.output[0], &layer.input)?,
            bias: plan.bias,
        }))
    }
}

/// A block with nothing in it.
pub fn empty(name: &str) -> BlockPlan {
    BlockPlan::new(name)
}

/// A dense layer.
pub fn dense_layer(rule: &str, out: usize) -> Option<LayerPlan> {
    Some(LayerPlan {
        map: MapPlan::Dense,
        out,
        bias: true,
        rule: rule.into(),
        params: Default::default(),
    })
}

/// A convolution with the given geometry.
pub fn conv_layer(
    rule: &str,
    out: usize,
    kernel: [usize; 2],
    padding: [usize; 4],
    mode: &str,
) -> Option<LayerPlan> {
    Some(LayerPlan {
        map: MapPlan::Conv {
            kernel,
            stride: [1, 1],
            padding,
            dilation: [1, 1],
            groups: 1,
            padding_mode: mode.parse().expect("a padding mode"),
        },
        out,
        bias: true,
        rule: rule.into(),
        params: Default::default(),
    })
}

/// Batch norm with or without gain and shift.
pub fn norm(affine: bool) -> Option<NormPlan> {
    Some(NormPlan {
        kind: NormKind::Batch,
        affine,
        eps: 1e-5,
        momentum: 0.1,
    })
}

/// The network of `blocks` for an input of `dims`.
pub fn build(blocks: &[BlockPlan], dims: &[usize], outputs: usize, dtype: DType) -> Network {
    let input = InputShape {
        dims: dims.to_vec(),
        outputs,
    };
    let place = biorule::nn::build::Placement {
        device: Device::Cpu,
        dtype,
        seed: 7,
    };
    Network::build(blocks, &input, &Toys, &place).unwrap()
}

/// Puts every block in gradient-driven training.
pub fn train_all(network: &mut Network) {
    let mode = Mode {
        blocks: network.block_names(),
        drive: Some(Drive::Gradient),
    };
    network.set_mode(&mode);
}

/// All elements as `f64`.
pub fn values(t: &Tensor) -> Vec<f64> {
    t.flatten_all()
        .unwrap()
        .to_dtype(DType::F64)
        .unwrap()
        .to_vec1()
        .unwrap()
}

/// Largest difference between two tensors.
pub fn distance(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.dims(), b.dims());
    values(a)
        .iter()
        .zip(values(b))
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f64::max)
}
