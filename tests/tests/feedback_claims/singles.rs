//! Single layers under a rule, in float64.

use biorule::config::ParamValue;
use biorule_tests::Result;
use biorule_tests::feedback::plans::{Geometry, RuleChoice};
use biorule_tests::feedback::single::{Single, Site};
use biorule_tests::numbers::values;
use biorule_tests::plugins::registry;
use candle_core::{DType, Tensor};

/// A rule on one layer.
pub(crate) fn bound(rule: &str, params: &[(&str, ParamValue)], site: &Site) -> Result<Single> {
    Single::new(registry(), &RuleChoice::new(rule, params), site, DType::F64)
}

/// The full name of a rule of that plugin.
pub(crate) fn family(rule: &str) -> String {
    format!("feedback-alignment/{rule}")
}

/// A convolution of four channels.
pub(crate) fn site(geometry: Geometry, units: usize) -> Site {
    Site::conv(geometry.map(), [4, 7, 6], units)
}

/// How values are distributed.
#[derive(Debug)]
pub(crate) struct Moments {
    pub(crate) mean: f64,
    pub(crate) deviation: f64,
    pub(crate) largest: f64,
}

pub(crate) fn moments(t: &Tensor) -> Result<Moments> {
    let v = values(t)?;
    let mean = v.iter().sum::<f64>() / v.len() as f64;
    let variance = v.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / v.len() as f64;
    Ok(Moments {
        mean,
        deviation: variance.sqrt(),
        largest: v.iter().fold(0.0, |m, v| m.max(v.abs())),
    })
}
