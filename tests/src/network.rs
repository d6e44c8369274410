//! A network of a test case: built from plans and real plugin files, and driven
//! as the trainer drives one.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use biorule::config::{
    ActivationPlan, BlockPlan, Drive, LayerPlan, MapPlan, NormKind, NormPlan, ParamValue, PoolKind,
    PoolPlan,
};
use biorule::nn::RuleSource;
use biorule::nn::build::Placement;
use biorule::nn::{InputShape, Mode, Network, Pass};
use biorule::plan::PadMode;
use biorule::train::Engine;
use candle_core::{DType, Tensor};

use crate::Result;
use crate::plugins::registry;

/// A block of nothing, to be filled in.
pub fn block(name: &str) -> BlockPlan {
    BlockPlan::new(name)
}

/// A block of one rule layer.
pub fn layer_block(name: &str, layer: LayerPlan) -> BlockPlan {
    BlockPlan {
        layer: Some(layer),
        ..block(name)
    }
}

/// A layer without bias.
pub fn layer(rule: &str, map: MapPlan, out: usize, params: &[(&str, ParamValue)]) -> LayerPlan {
    LayerPlan {
        map,
        out,
        bias: false,
        rule: rule.into(),
        params: params
            .iter()
            .map(|(name, value)| ((*name).into(), value.clone()))
            .collect(),
    }
}

/// A convolution without padding, stride, dilation and groups.
pub fn conv(kernel: [usize; 2]) -> MapPlan {
    MapPlan::Conv {
        kernel,
        stride: [1, 1],
        padding: [0; 4],
        dilation: [1, 1],
        groups: 1,
        padding_mode: PadMode::Zeros,
    }
}

/// PyTorch's batch normalisation.
pub fn batch_norm(affine: bool) -> NormPlan {
    NormPlan {
        kind: NormKind::Batch,
        affine,
        eps: 1e-5,
        momentum: 0.1,
    }
}

/// `max(0, u)`.
pub fn relu() -> ActivationPlan {
    ActivationPlan::Relu
}

/// The maximum of `size`×`size` squares side by side.
pub fn max_pool(size: usize) -> PoolPlan {
    PoolPlan {
        kind: PoolKind::Max,
        kernel: [size, size],
        stride: [size, size],
        padding: [0, 0],
        count_include_pad: true,
    }
}

/// The engine of a network, and the mode that it trains in; `clock.local_rate` is the rate handed
/// to local rules.
pub struct TestNetwork {
    engine: Engine<'static>,
    mode: Mode,
}

impl Deref for TestNetwork {
    type Target = Engine<'static>;

    fn deref(&self) -> &Self::Target {
        &self.engine
    }
}

impl DerefMut for TestNetwork {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.engine
    }
}

/// What a pass with gradients gives.
pub struct Backward {
    /// Output of the forward pass.
    pub y: Tensor,
    /// Gradient at the input.
    pub grad_x: Tensor,
    /// Gradients by full tensor name.
    pub grads: Vec<(Arc<str>, Tensor)>,
}

impl TestNetwork {
    /// Builds `blocks` for inputs of `dims` (without the batch), all in evaluation mode.
    ///
    /// # Errors
    /// Plans that fit no network, rules that are not there.
    pub fn build(blocks: &[BlockPlan], dims: &[usize], dtype: DType) -> Result<Self> {
        Self::build_with(blocks, dims, dtype, registry())
    }

    /// [`Self::build`] with rules from elsewhere.
    ///
    /// # Errors
    /// As there.
    pub fn build_with(
        blocks: &[BlockPlan],
        dims: &[usize],
        dtype: DType,
        rules: &dyn RuleSource,
    ) -> Result<Self> {
        let input = InputShape {
            dims: dims.to_vec(),
            outputs: 10,
        };
        let place = Placement {
            device: crate::device(),
            dtype,
            seed: 1,
        };
        Ok(Self {
            engine: Engine::new(Network::build(blocks, &input, rules, &place)?),
            mode: Mode::default(),
        })
    }

    /// Lets `blocks` learn, driven by `drive`; all others are frozen.
    pub fn train(&mut self, blocks: &[&str], drive: Drive) {
        self.mode = Mode {
            blocks: blocks.iter().map(|b| (*b).into()).collect(),
            drive: Some(drive),
        };
    }

    /// A tensor by the end of its full name, such as `layer.weight`; a copy, so that later
    /// steps do not reach it.
    ///
    /// # Errors
    /// No such tensor, or several.
    pub fn tensor(&self, name: &str) -> Result<Tensor> {
        let found = self.engine.network.tensors();
        let mut found = found.iter().filter(|t| ends_with(&t.name, name));
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(one.tensor.copy()?),
            (None, _) => Err(format!("the network has no tensor `{name}`").into()),
            _ => Err(format!("several tensors end in `{name}`").into()),
        }
    }

    /// Replaces tensors, each named as in [`TestNetwork::tensor`]; the rest keep their values.
    ///
    /// # Errors
    /// A name that no tensor has, or another shape.
    pub fn set(&mut self, values: &[(&str, Tensor)]) -> Result<()> {
        for (name, _) in values {
            self.tensor(name)?;
        }
        let mut all = BTreeMap::new();
        for slot in self.engine.network.tensors() {
            let new = values.iter().find(|(name, _)| ends_with(&slot.name, name));
            let value = new.map_or_else(|| slot.tensor.copy(), |(_, value)| Ok(value.clone()))?;
            all.insert(slot.name.clone(), value);
        }
        Ok(self.engine.network.load(&|name| all.get(name).cloned())?)
    }

    /// Takes on the mode of [`TestNetwork::train`], so that the network's tensors say which learn.
    pub fn start(&mut self) {
        self.engine.network.set_mode(&self.mode);
    }

    /// Output for `x`, nothing learning.
    ///
    /// # Errors
    /// A rule failed.
    pub fn evaluate(&mut self, x: &Tensor) -> Result<Tensor> {
        self.engine.network.set_mode(&Mode::default());
        Ok(self.engine.network.forward_all(&mut Pass::inference(), x)?)
    }

    /// A step of local learning; gives the output of its forward pass.
    ///
    /// # Errors
    /// A rule failed.
    pub fn learn(&mut self, x: &Tensor) -> Result<Tensor> {
        self.start();
        let mut pass = Pass::local(self.engine.clock.clone());
        let y = self.engine.network.forward_all(&mut pass, x)?;
        self.engine.network.apply_changes()?;
        self.engine.network.end_step();
        Ok(y)
    }

    /// Forward and backward with the output's gradient `grad`, local changes applied; what
    /// an optimiser does with the gradients is the caller's.
    ///
    /// # Errors
    /// A rule failed.
    pub fn step(
        &mut self,
        x: &Tensor,
        grad: impl FnOnce(&Tensor) -> Result<Tensor>,
    ) -> Result<Backward> {
        self.start();
        let mut pass = Pass::gradient(self.engine.clock.clone()).wanting_input();
        let y = self.engine.network.forward_all(&mut pass, x)?;
        let grad = grad(&y)?;
        let all = 0..self.engine.network.len();
        let grad_x = self
            .engine
            .network
            .backward(&mut pass, &grad, all)?
            .ok_or("no gradient came out below")?;
        self.engine.network.apply_changes()?;
        self.engine.network.end_step();
        Ok(Backward {
            y,
            grad_x,
            grads: pass.gradients,
        })
    }

    /// A number that a rule reports, from the only layer that reports it.
    ///
    /// # Errors
    /// No layer reports it, or several.
    pub fn metric(&self, name: &str) -> Result<f64> {
        let all = self.engine.network.metrics(&self.engine.clock)?;
        let mut found = all.iter().flat_map(|(_, m)| m).filter(|(n, _)| n == name);
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Ok(*value),
            (None, _) => Err(format!("no rule reports `{name}`").into()),
            _ => Err(format!("several rules report `{name}`").into()),
        }
    }
}

impl Backward {
    /// The gradient of the tensor whose full name ends so.
    ///
    /// # Errors
    /// It has none.
    pub fn grad(&self, name: &str) -> Result<Tensor> {
        let found = self.grads.iter().find(|(full, _)| ends_with(full, name));
        Ok(found
            .ok_or_else(|| format!("no gradient of `{name}`"))?
            .1
            .clone())
    }
}

/// Whether the last parts of a full name are those of `name`.
fn ends_with(full: &str, name: &str) -> bool {
    full == name || full.ends_with(&format!(".{name}"))
}
