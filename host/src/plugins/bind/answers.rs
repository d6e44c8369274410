//! Validates what the rule returned: shapes, element types,
//! names and numbers, each complaint with the rule's and the layer's name.

use std::sync::atomic::Ordering;

use abi_stable::std_types::RVec;
use biorule_plugin_api::abi::root::RawStateSpec;
use biorule_plugin_api::abi::types::*;
use candle_core::{CpuStorage, DType, Device, Storage, Tensor};

use super::BoundRule;
use crate::nn::contract::{self, Fit};
use crate::nn::rule::{Change, ChangeKind, Named, Role, RuleCall, StateOutline, StateTensor};
use crate::plugins::init;
use crate::plugins::table::handle::take;
use crate::text::human;
use crate::{Error, ExitCode, Result};

/// Answers of the first calls are searched for NaN and infinity: a rule that makes them of numbers
/// of moderate size breaks its contract. Where its input, its state or its rate is beyond
/// [`MODERATE`] already, and in later calls, they count as divergence, which the trainer sees.
const CHECKED_CALLS: u64 = 2;

/// State below so many bytes is made without asking whether there is room.
const LARGE: u128 = 1 << 28;

/// Numbers up to this leave a rule of `f32` room for a product of six.
const MODERATE: f64 = 1e6;

impl BoundRule {
    /// The error for a failed call.
    pub(super) fn fail(&self, method: &str, code: Code, message: &str) -> Error {
        let verb = if code == fail::PANIC {
            "panicked"
        } else {
            "failed"
        };
        let error = Error::plugin(format!(
            "rule `{}` {verb} in `{method}` for layer `{}`: {message}",
            self.name, self.layer.name
        ))
        .hint(format!(
            "the rule comes from `{}`; the last checkpoint is intact",
            self.plugin.path.display()
        ));
        match code {
            fail::CANCELLED => Error {
                code: ExitCode::Stopped,
                ..error
            },
            _ => error,
        }
    }

    /// The error for state tensors that cannot be made.
    pub(super) fn unsound(&self, code: ExitCode, what: &str) -> Error {
        let text = format!("rule `{}` {what} (layer `{}`)", self.name, self.layer.name);
        Error::new(code, text).hint(format!(
            "the rule comes from `{}`; `biorule rules check` on it says more",
            self.plugin.path.display()
        ))
    }

    /// Whether the output fits, and in the first calls its numbers.
    pub(super) fn check_output(
        &self,
        call: &RuleCall,
        state: &[StateTensor],
        x: &Tensor,
        y: &Tensor,
    ) -> Result<()> {
        self.fits("forward", contract::output(&self.layer, x, y))?;
        if self.calls.fetch_add(1, Ordering::Relaxed) < CHECKED_CALLS {
            self.check_finite("forward", "output", (call, state, &[x]), y)?;
        }
        Ok(())
    }

    /// Complains of NaN and infinity in `value`, where all that it was made of, the call, the
    /// state and the input, is of moderate size.
    pub(super) fn check_finite(
        &self,
        method: &str,
        what: &str,
        (call, state, inputs): (&RuleCall, &[StateTensor], &[&Tensor]),
        value: &Tensor,
    ) -> Result<()> {
        let rate = call.rate.unwrap_or(0.0).abs().max(self.largest_param);
        if finite(value)? || rate.is_nan() || rate > MODERATE {
            return Ok(());
        }
        let held = state.iter().map(|s| &s.tensor);
        for tensor in inputs.iter().copied().chain(held) {
            if !moderate(tensor)? {
                return Ok(());
            }
        }
        Err(self.fail(
            method,
            fail::RULE,
            &format!(
                "its {what} holds NaN or infinity though its input, state and rate are of moderate size"
            ),
        ))
    }

    /// Whether this is one of the calls whose numbers are looked at.
    pub(super) fn is_early(&self) -> bool {
        self.calls.load(Ordering::Relaxed) <= CHECKED_CALLS
    }

    /// What fits, or the error for a call whose answer does not.
    pub(super) fn fits<T>(&self, method: &str, fit: Fit<T>) -> Result<T> {
        fit.map_err(|what| self.fail(method, fail::SHAPE, &what))
    }

    /// The addition of `name` that was just returned is to be scaled row by row.
    pub(super) fn scale_rows(
        &self,
        changes: &mut [Change],
        name: &str,
        scale: Tensor,
    ) -> Result<()> {
        let rows = |t: &Tensor| t.dims().first().copied();
        match changes.last_mut() {
            Some(last)
                if last.name == name
                    && matches!(last.kind, ChangeKind::Add)
                    && rows(&last.tensor) == Some(scale.elem_count()) =>
            {
                last.kind = ChangeKind::AddRows(scale);
                Ok(())
            }
            _ => {
                let text = format!(
                    "its row scale of `{name}` has shape {:?} and follows no addition with so many rows",
                    scale.dims()
                );
                Err(self.fail("learn", fail::SHAPE, &text))
            }
        }
    }
}

/// Takes over the handles of named tensors, each with the number of what is to be done with it;
/// nothing where one of them is null.
pub(super) fn with_kinds(raw: RVec<RawNamed>) -> Option<Vec<(String, Code, Tensor)>> {
    raw.into_iter()
        .map(|n| Some((n.name.into_string(), n.kind, take(n.tensor)?)))
        .collect()
}

/// The same without those numbers.
pub(super) fn named(raw: RVec<RawNamed>) -> Option<Named> {
    let without = |(name, _, tensor)| (name, tensor);
    Some(with_kinds(raw)?.into_iter().map(without).collect())
}

/// Whether all numbers are finite.
fn finite(t: &Tensor) -> Result<bool> {
    let (storage, layout) = t.storage_and_layout();
    if let (Storage::Cpu(cpu), Some((start, end))) = (&*storage, layout.contiguous_offsets()) {
        match cpu {
            CpuStorage::F32(v) => return Ok(v[start..end].iter().all(|v| v.is_finite())),
            CpuStorage::F64(v) => return Ok(v[start..end].iter().all(|v| v.is_finite())),
            _ => {}
        }
    }
    drop(storage);
    // NaN and infinity times zero are NaN; the sum keeps them.
    let probe = (t.flatten_all()? * 0.0)?.sum_all()?;
    Ok(probe.to_dtype(DType::F64)?.to_scalar::<f64>()? == 0.0)
}

/// Whether all numbers are finite and at most [`MODERATE`] in size.
fn moderate(t: &Tensor) -> Result<bool> {
    if t.elem_count() == 0 || !t.dtype().is_float() {
        return Ok(true);
    }
    let largest = t.flatten_all()?.abs()?.max(0)?.to_dtype(DType::F64)?;
    Ok(finite(t)? && largest.to_scalar::<f64>()? <= MODERATE)
}

/// Why there is no room on this machine for state tensors as they are declared, in words that follow
/// the rule's name; nothing where there is.
pub(super) fn too_large(specs: &[RawStateSpec]) -> Option<String> {
    let sizes = specs.iter().map(|spec| {
        let elements = biorule_plugin_api::abi::sound::elements(&spec.shape).unwrap_or(usize::MAX);
        // Drawn in f64, then held at least in f32.
        (spec, elements as u128 * 12)
    });
    let (largest, _) = sizes.clone().max_by_key(|(_, bytes)| *bytes)?;
    let all: u128 = sizes.map(|(_, bytes)| bytes).sum();
    if all < LARGE {
        return None;
    }
    let room = crate::device::memory::room()?;
    (all > u128::from(room.bytes)).then(|| {
        format!(
            "asks for {} of state, most of it `{}` of shape {:?}, and there is {} ({})",
            human(all),
            largest.name,
            largest.shape.as_slice(),
            human(room.bytes.into()),
            room.by
        )
    })
}

/// The role that a state tensor is declared with.
fn role(spec: &RawStateSpec) -> Result<Role> {
    Role::from_code(spec.role).ok_or_else(|| {
        Error::plugin(format!(
            "state `{}` has role number {}, which this host does not know",
            spec.name, spec.role.0
        ))
    })
}

/// A state tensor as it is declared.
pub(super) fn outlined(spec: &RawStateSpec) -> Result<StateOutline> {
    Ok(StateOutline {
        shape: spec.shape.to_vec(),
        role: role(spec)?,
    })
}

/// Draws a state tensor: on the CPU, in f64, from the seed and the tensor's name.
pub(super) fn initial(
    spec: &RawStateSpec,
    seed: u64,
    device: &Device,
    dtype: DType,
) -> Result<StateTensor> {
    let role = role(spec)?;
    let n = spec.shape.iter().product();
    let values =
        init::draw(spec.init, spec.a, spec.b, n, seed, spec.name.as_str()).ok_or_else(|| {
            Error::plugin(format!(
                "state `{}` has an initialiser that this host does not know",
                spec.name
            ))
        })?;
    let tensor = Tensor::from_vec(values, spec.shape.as_slice(), &Device::Cpu)?
        .to_dtype(dtype)?
        .to_device(device)?;
    Ok(StateTensor {
        name: spec.name.to_string(),
        tensor,
        role,
    })
}
