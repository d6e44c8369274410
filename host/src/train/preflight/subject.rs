//! What the checks look at: the plan with its data, and what of both a phase takes.

use candle_core::DType;

use crate::data::feed::{Samples, TrainData};
use crate::device::memory::Room;
use crate::nn::RuleSource;
use crate::nn::outline::{Part, PartKind};
use crate::plan::{Drive, PhasePlan, Precision, RunPlan};

/// What is looked at.
pub struct Subject<'a> {
    /// The checked plan.
    pub plan: &'a RunPlan,
    /// Where rules come from.
    pub rules: &'a dyn RuleSource,
    /// Its data, opened.
    pub data: &'a TrainData,
    /// Bytes that the data sets take.
    pub data_bytes: u128,
    /// Memory there was before the data sets were opened, where the system tells.
    pub room: Option<Room>,
    /// Bytes free on the GPU, where the run is on one.
    pub gpu: Option<u64>,
}

impl Subject<'_> {
    pub(super) fn dtype(&self) -> DType {
        match self.plan.dtype {
            Precision::F32 => DType::F32,
            Precision::F64 => DType::F64,
        }
    }
}

/// What is evaluated between epochs.
pub(super) fn held_out(data: &TrainData) -> (&'static str, &dyn Samples) {
    match &data.validation {
        Some(validation) => ("validation", &**validation),
        None => ("test", &*data.test),
    }
}

/// Whether `part` changes in a step of `phase`.
pub(super) fn learns(part: &Part, phase: &PhasePlan) -> bool {
    let by_loss = phase.drive != Drive::Local;
    part.is_listed(&phase.blocks)
        && match &part.kind {
            PartKind::Transform => false,
            PartKind::Norm => true,
            PartKind::Layer {
                local,
                error_driven,
                ..
            } => {
                (*local && (*error_driven || phase.drive != Drive::Gradient))
                    || (*error_driven && by_loss)
            }
        }
}
