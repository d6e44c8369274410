//! How far a feedback weight agrees with the weight it stands in for.

use biorule_plugin_api::prelude::*;

/// Angle in degrees, cosine and ratio of norms between `weight` and the feedback
/// that was really used, both flattened.
///
/// - `alignment_angle` = 180/π · arccos(⟨B, W⟩ / (|B| |W|)), the cosine limited to
///   [−1, 1] (BioTorch, `layer_alignment`);
/// - `alignment_cosine` is that cosine (bioflax, `metric_computation.py`);
/// - `norm_ratio` = |B| / |W| (BioTorch, `weight_ratio`).
///
/// Against a tensor of zeros there is no angle, and nothing is reported (both
/// references give NaN).
///
/// # Errors
/// Tensors of different sizes.
pub fn agreement(weight: &Tensor, feedback: &Tensor) -> Result<Vec<Metric>> {
    let dot = weight.mul(feedback)?.sum_all()?.to_scalar()?;
    let (w, b) = (norm(weight)?, norm(feedback)?);
    if w == 0.0 || b == 0.0 {
        return Ok(Vec::new());
    }
    let cosine = (dot / (w * b)).clamp(-1.0, 1.0);
    Ok(vec![
        Metric::new("alignment_angle", cosine.acos().to_degrees()),
        Metric::new("alignment_cosine", cosine),
        Metric::new("norm_ratio", b / w),
    ])
}

/// `norm_ratio` alone, for feedback of another shape than the weight's.
///
/// # Errors
/// The device failed.
pub fn norm_ratio(weight: &Tensor, feedback: &Tensor) -> Result<Vec<Metric>> {
    let (w, b) = (norm(weight)?, norm(feedback)?);
    Ok(if w == 0.0 {
        Vec::new()
    } else {
        vec![Metric::new("norm_ratio", b / w)]
    })
}

/// `weight_norm` = |W|, which BioTorch logs where there is no feedback weight.
///
/// # Errors
/// The device failed.
pub fn weight_norm(weight: &Tensor) -> Result<Vec<Metric>> {
    Ok(vec![Metric::new("weight_norm", norm(weight)?)])
}

/// Frobenius norm.
fn norm(t: &Tensor) -> Result<f64> {
    Ok(t.sqr()?.sum_all()?.to_scalar()?.sqrt())
}
