//! The map `S(w) = sign(w)·|w|^(p−1)` and the p-norms that follow from it.
//!
//! `Σ|w|ᵖ = Σ w·S(w)`, so one map serves the currents, the forward pass and the
//! convergence metric. Whole exponents are products: `powf` is slower, and at
//! `p = 2` the map is the identity.

use biorule_plugin_api::prelude::*;

/// `S(w)`, element by element; `p ≥ 1`. `S(0) = 0`.
pub fn powered(w: &Tensor, p: f64) -> Result<Tensor> {
    let whole = p.fract() == 0.0 && p <= 16.0;
    match p {
        1.0 => w.sign(),
        2.0 => Ok(w.clone()),
        _ if whole => {
            // w·|w|^(p−2): the sign comes along with the first factor.
            let size = w.abs()?;
            (2..p as u32).try_fold(w.clone(), |product, _| product.mul(&size))
        }
        _ => w.sign()?.mul(&w.abs()?.powf(p - 1.0)?),
    }
}

/// `Σᵢ|w[u,i]|ᵖ` for each unit, `[K, …] → [K]`.
pub fn norms(w: &Tensor, p: f64) -> Result<Tensor> {
    let shape = w.shape()?;
    let rows = [shape[0], shape[1..].iter().product()];
    w.mul(&powered(w, p)?)?.reshape(&rows)?.sum(&[1])
}
