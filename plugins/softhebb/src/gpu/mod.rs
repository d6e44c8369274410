//! The competitions as one kernel of this rule's own, for f32 on a GPU, where
//! `plain` takes half a dozen operations. Same factors; the host's tests run the
//! kernel's text against the host's competition, which follows the paper's text.

use biorule_plugin_api::prelude::*;
use biorule_plugin_api::sdk::PtxKernel;

use crate::competition::{Contest, Kind};

/// Made from `factors.cu` by `ci/plugin-ptx` for compute capability 8.0; the
/// driver compiles it for whatever GPU is there.
const PTX: &str = include_str!("factors.ptx");

/// Positions of a block, and warps that share their units.
const BLOCK: [u32; 3] = [32, 8, 1];

/// As `plain::factors`, or nothing where the kernel does not apply: `u` on the
/// CPU, not f32, or a competition that it does not know.
///
/// # Errors
/// The driver's words.
pub fn factors(contest: &Contest, layer: &LayerSpec, u: &Tensor) -> Result<Option<Tensor>> {
    let Some(kind) = number(contest) else {
        return Ok(None);
    };
    if u.on_cpu()? || u.dtype()? != DType::F32 {
        return Ok(None);
    }
    let (shape, units, groups) = (u.shape()?, layer.units(), layer.groups());
    let count = u.elem_count()? / units;
    let positions = match layer.kind {
        LayerKind::Dense => 1,
        LayerKind::Conv => shape[2] * shape[3],
    };
    let small = |n: usize| {
        u32::try_from(n).map_err(|_| RuleError::shape(format!("{n} is too large for a GPU kernel")))
    };
    let (n, groups) = (small(count)?, small(groups)?);
    let y = u.full_like(&shape, 0.0)?;
    let kernel = PtxKernel {
        module: "softhebb",
        ptx: PTX,
        function: "factors",
        grid: [n.div_ceil(BLOCK[0]).max(1), groups, 1],
        block: BLOCK,
        shared_bytes: 0,
    };
    let sizes = [
        n,
        small(units)?,
        small(positions)?,
        groups,
        kind,
        small(contest.rank)?,
        u32::from(contest.overwrite),
    ];
    let numbers = [contest.gain as f32, contest.delta as f32];
    match Tensor::launch_ptx(&kernel, &[u, &y], &numbers, &sizes) {
        Ok(()) => Ok(Some(y)),
        Err(e) if e.is_unsupported() => Ok(None),
        Err(e) => Err(e),
    }
}

/// The kernel's number of a competition.
fn number(contest: &Contest) -> Option<u32> {
    match (contest.kind, contest.mode) {
        (Kind::Soft, _) => Some(0),
        (Kind::SoftKrotov, 0) => Some(1),
        (Kind::Hard, _) => Some(2),
        (Kind::HardKrotov, _) => Some(3),
        _ => None,
    }
}
