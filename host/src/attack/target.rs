//! The network behind an attack. The one place of this room that drives a pass.

use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};

use super::loss::{Climb, Logits};
use crate::data::PixelSpace;
use crate::device::Place;
use crate::nn::{Clock, Credit, Mode, Network, Pass};
use crate::{Error, Result};

/// Samples that go through the network at a time where an attack makes many of one.
const AT_A_TIME: usize = 256;

/// How the error reaches the pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Gradient {
    /// Exact back-propagation through what every rule's forward pass computes.
    #[default]
    True,
    /// What each rule itself sends below, as in training. An attack with it meets the defence that
    /// lies in a wrong gradient (obfuscation), not the network's own robustness.
    Rule,
}

impl Gradient {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::True => "true",
            Self::Rule => "rule",
        }
    }
}

/// A network, the way from pixels to its input, and how errors come back.
pub struct Target<'a> {
    network: &'a mut Network,
    space: &'a PixelSpace,
    gradient: Gradient,
    place: &'a Place,
}

/// A loss at the pixels of a batch.
#[derive(Debug)]
pub struct Slope {
    /// What the network answered.
    pub logits: Logits,
    /// The loss of each sample.
    pub losses: Vec<f64>,
    /// Its derivative by the pixels, shaped as they are.
    pub gradient: Tensor,
}

impl<'a> Target<'a> {
    /// Puts `network` into evaluation mode.
    ///
    /// # Errors
    /// Usage error where the rules' own gradient is asked for and a rule sends none below.
    pub fn new(
        network: &'a mut Network,
        space: &'a PixelSpace,
        gradient: Gradient,
        place: &'a Place,
    ) -> Result<Self> {
        if gradient == Gradient::Rule {
            sends_errors(network)?;
        }
        network.set_mode(&Mode::default());
        Ok(Self {
            network,
            space,
            gradient,
            place,
        })
    }

    /// Answers for `pixels`.
    ///
    /// # Errors
    /// Failures of rules and tensor operations.
    pub fn logits(&mut self, pixels: &Tensor) -> Result<Logits> {
        let n = pixels.dims()[0];
        let (mut values, mut width) = (Vec::new(), 1);
        for start in (0..n).step_by(AT_A_TIME) {
            let part = pixels.narrow(0, start, AT_A_TIME.min(n - start))?;
            let x = self.space.prepare(&part.contiguous()?)?;
            // Rules that learn in evaluation are left as they are.
            let mut pass = Pass::inference();
            pass.in_evaluation = false;
            let y = self.network.forward_all(&mut pass, &x)?;
            let logits = read(&y)?;
            width = logits.1;
            values.extend(logits.0);
        }
        Ok(Logits::new(values, width))
    }

    /// Answers for `pixels`, and what `loss` makes of them carried back to the pixels.
    ///
    /// # Errors
    /// As for [`Self::logits`], and those of `loss`.
    pub fn slope(
        &mut self,
        pixels: &Tensor,
        loss: &dyn Fn(&Logits) -> Result<Climb>,
    ) -> Result<Slope> {
        let x = self.space.prepare(pixels)?;
        let mut pass = Pass::measuring(Clock::default()).wanting_input();
        pass.exact = self.gradient == Gradient::True;
        let y = self.network.forward_all(&mut pass, &x)?;
        let (values, width) = read(&y)?;
        let logits = Logits::new(values, width);
        let Climb { losses, gradient } = loss(&logits)?;
        let flat = Tensor::from_vec(gradient, (losses.len(), width), &Device::Cpu)?
            .to_dtype(y.dtype())?
            .to_device(y.device())?;
        let at_output = flat.reshape(y.shape())?;
        pass.output_error = Some(flat);
        let blocks = self.network.len();
        let below = self.network.backward(&mut pass, &at_output, 0..blocks)?;
        let below = below.ok_or_else(|| Error::internal("no gradient reached the pixels"))?;
        Ok(Slope {
            logits,
            losses,
            gradient: self.space.pull_back(&below)?,
        })
    }

    /// Leaves the loop over samples where a stop was asked for.
    ///
    /// # Errors
    /// [`crate::ExitCode::Stopped`].
    pub fn go_on(&self) -> Result<()> {
        self.place.go_on()
    }

    /// `values`, one sample after another, as a batch like `pixels`.
    pub(super) fn batch(&self, values: &[f32], dims: &[usize]) -> Result<Tensor> {
        let each: usize = dims.iter().product();
        let shape = [vec![values.len() / each.max(1)], dims.to_vec()].concat();
        let t = Tensor::from_slice(values, shape, &Device::Cpu)?;
        Ok(t.to_dtype(self.place.dtype)?
            .to_device(&self.place.device)?)
    }
}

/// Values of a batch as `f32` on the CPU.
pub(super) fn values(t: &Tensor) -> Result<Vec<f32>> {
    let t = t.to_device(&Device::Cpu)?.to_dtype(DType::F32)?;
    Ok(t.flatten_all()?.to_vec1()?)
}

/// Outputs `[B, …]` and how many each sample has.
fn read(y: &Tensor) -> Result<(Vec<f64>, usize)> {
    let flat = if y.rank() == 2 {
        y.clone()
    } else {
        y.flatten_from(1)?
    };
    let width = flat.dims()[1];
    let flat = flat.to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
    Ok((flat.flatten_all()?.to_vec1()?, width))
}

/// Refuses networks with a rule that sends no error below.
fn sends_errors(network: &Network) -> Result<()> {
    for block in network.block_names() {
        let rules = network.rules_of(&block);
        if let Some((rule, _)) = rules.iter().find(|(_, credit)| *credit == Credit::Local) {
            return Err(Error::usage(format!(
                "block `{block}`: its rule `{rule}` learns from its own activity and sends no error below, so there is no gradient of the rules"
            ))
            .hint("attack with `--gradient true`"));
        }
    }
    Ok(())
}
