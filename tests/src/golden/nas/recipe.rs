//! Tensors as functions of their canonical names: FNV-1a of the name starts a `SplitMix64` stream.

use candle_core::{DType, Device, Tensor};

use crate::Result;

/// 64-bit FNV-1a of `text`.
pub fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |h, byte| {
        (h ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The `n` first numbers in [0, 1) of `name`.
pub fn unit(name: &str, n: usize) -> Vec<f64> {
    let h = fnv(name);
    (1..=n as u64)
        .map(|i| {
            let mut z = h.wrapping_add(i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            ((z ^ (z >> 31)) >> 11) as f64 * 2f64.powi(-53)
        })
        .collect()
}

/// What a tensor is for decides on its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A weight or a feedback tensor: Glorot-uniform.
    Weight,
    /// The gain of a normalisation.
    Gain,
    /// The shift of a normalisation.
    Shift,
    /// The bias of a linear layer.
    Bias,
    /// Pixels.
    Image,
    /// Architecture weights.
    Alpha,
}

/// The tensor `name` of shape `dims`, in single precision.
///
/// # Errors
/// The shape does not fit the kind.
pub fn tensor(kind: Kind, name: &str, dims: &[usize]) -> Result<Tensor> {
    let n: usize = dims.iter().product();
    let bound = match dims {
        [a, b, r, s] => (6.0 / ((a + b) * r * s) as f64).sqrt(),
        [a, b] => (6.0 / (a + b) as f64).sqrt(),
        _ => f64::NAN,
    };
    let value = |u: f64| {
        let centred = 2.0 * u - 1.0;
        match kind {
            Kind::Weight => bound * centred,
            Kind::Gain => 1.0 + 0.2 * centred,
            Kind::Shift => 0.2 * centred,
            Kind::Bias => 0.1 * centred,
            Kind::Image => 2.0 * centred,
            Kind::Alpha => 0.5 * centred,
        }
    };
    let values: Vec<f64> = unit(name, n).into_iter().map(value).collect();
    let whole = Tensor::from_vec(values, dims, &Device::Cpu)?;
    Ok(whole.to_dtype(DType::F32)?.to_device(&crate::device())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recipe_has_its_check_values() {
        assert_eq!(fnv(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv("a"), 0xaf63_dc4c_8601_ec8c);
        let near =
            |got: &[f64], want: &[f64]| got.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-4);
        assert!(near(
            &unit("x", 3),
            &[0.201_208_28, 0.808_526_76, 0.643_323_63]
        ));
        let w = tensor(Kind::Weight, "w", &[4, 1, 3, 3]).expect("a tensor");
        let w = crate::numbers::values(&w).expect("values");
        assert!(near(&w, &[0.2900, 0.2039, -0.3622]), "{:?}", &w[..3]);
    }
}
