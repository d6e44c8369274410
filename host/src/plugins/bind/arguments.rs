//! What a rule is given: its layer in the boundary's words, and handles lent for
//! one call.

use std::ffi::c_void;

use biorule_plugin_api::abi::root::RawForwardArgs;
use biorule_plugin_api::abi::types::*;
use candle_core::Tensor;

use crate::Result;
use crate::nn::rule::{LayerShape, RuleCall, StateTensor};
use crate::plan::LayerPlan;
use crate::plugins::geometry;
use crate::plugins::table::handle::{give, take};

/// The layer as the plugin is told of it.
pub(super) fn raw_layer(plan: &LayerPlan, layer: &LayerShape) -> Result<RawLayer> {
    let mut raw = RawLayer {
        size: size_of::<RawLayer>(),
        index: layer.index as u64,
        name: layer.name.as_str().into(),
        kind: self::layer::DENSE,
        input: layer.input.iter().copied().collect(),
        output: layer.output.iter().copied().collect(),
        kernel: [1, 1],
        stride: [1, 1],
        padding: [0; 4],
        dilation: [1, 1],
        groups: 1,
        pad_mode: self::layer::PAD_ZEROS,
        bias: plan.bias,
        classes: layer.classes,
        first: layer.first,
        last: layer.last,
        normalised: layer.normalised,
    };
    if let Some(conv) = plan.map.convolution(layer.input[0], layer.output[0]) {
        geometry::write(&conv, &mut raw);
    }
    Ok(raw)
}

/// Handles lent to the plugin for one call; given back on drop.
pub(super) struct Inputs {
    pub(super) call: RawCall,
    pub(super) state: Vec<RawNamed>,
    pub(super) kept: Vec<RawNamed>,
    tensors: Vec<RawTensor>,
}

impl Inputs {
    /// Lends all of these.
    pub(super) fn new(
        call: &RuleCall,
        state: &[StateTensor],
        kept: &[(String, Tensor)],
        tensors: &[Option<&Tensor>],
    ) -> Self {
        let lend = |name: &str, t: &Tensor| RawNamed {
            name: name.into(),
            tensor: give(t.clone()),
            kind: Code(0),
        };
        Self {
            call: RawCall {
                size: size_of::<RawCall>(),
                step: call.step,
                epoch: call.epoch,
                epochs: call.epochs,
                steps_per_epoch: call.steps_per_epoch,
                batch: call.batch,
                samples: call.samples,
                seed: call.seed,
                rate: call.rate.unwrap_or(f64::NAN),
                training: call.training,
                learning: call.learning,
                pass: call.pass,
            },
            state: state.iter().map(|s| lend(&s.name, &s.tensor)).collect(),
            kept: kept.iter().map(|(name, t)| lend(name, t)).collect(),
            tensors: tensors
                .iter()
                .map(|t| t.map_or(RawTensor::NULL, |t| give(t.clone())))
                .collect(),
        }
    }
    /// The `i`-th of the tensors, null where there is none.
    pub(super) fn tensor(&self, i: usize) -> RawTensor {
        self.tensors.get(i).copied().unwrap_or(RawTensor::NULL)
    }
    /// Arguments of `forward` and `metrics`.
    pub(super) fn forward_args(&self) -> RawForwardArgs {
        RawForwardArgs {
            size: size_of::<RawForwardArgs>(),
            call: &raw const self.call,
            state: self.state.as_ptr(),
            states: self.state.len(),
            x: self.tensor(0),
        }
    }
}

impl Drop for Inputs {
    fn drop(&mut self) {
        for named in self.state.iter().chain(&self.kept) {
            drop(take(named.tensor));
        }
        for &raw in &self.tensors {
            drop(take(raw));
        }
    }
}

/// As the boundary takes arguments.
pub(super) fn pointer<T>(args: &T) -> *const c_void {
    std::ptr::from_ref(args).cast()
}
