//! What a rule returns has to fit its layer and its state. The plugin boundary asks for each
//! answer, since it knows the method and the file; the layer asks for every rule, whatever it comes
//! from. What fits, and the words for what does not, are here alone.

use candle_core::Tensor;

use super::rule::{LayerShape, StateTensor};

/// What fits, or in what way it does not.
pub(crate) type Fit<T = ()> = std::result::Result<T, String>;

/// An output `y` of `layer` for `x`: `[B, K, P, Q]`, or `[B, …, K]` for `[B, …, D]`, of the
/// element type of `x`.
pub(crate) fn output(layer: &LayerShape, x: &Tensor, y: &Tensor) -> Fit {
    let mut expected = x.dims().to_vec();
    match layer.output[..] {
        [units] => {
            if let Some(last) = expected.last_mut() {
                *last = units;
            }
        }
        _ => {
            expected.truncate(1);
            expected.extend_from_slice(&layer.output);
        }
    }
    let (found, types) = (y.dims(), (y.dtype(), x.dtype()));
    if found != expected {
        return Err(format!(
            "its output has shape {found:?}, expected {expected:?}"
        ));
    }
    if types.0 != types.1 {
        return Err(format!(
            "its output has element type {:?}, expected {:?}",
            types.0, types.1
        ));
    }
    Ok(())
}

/// A change or gradient (`what`) of the state tensor `name`; its position in `state`.
pub(crate) fn of_state(
    what: &str,
    state: &[StateTensor],
    name: &str,
    tensor: &Tensor,
) -> Fit<usize> {
    let Some(i) = state.iter().position(|own| own.name == name) else {
        return Err(format!(
            "it returned a {what} of `{name}`, which it did not declare"
        ));
    };
    let (found, expected) = (tensor.dims(), state[i].tensor.dims());
    if found != expected {
        return Err(format!(
            "its {what} of `{name}` has shape {found:?}, expected {expected:?}"
        ));
    }
    Ok(i)
}

/// The error for the layer below, shaped as the input `x`.
pub(crate) fn below(error: Option<&Tensor>, x: &Tensor) -> Fit {
    let expected = x.dims();
    match error.map(Tensor::dims) {
        Some(found) if found == expected => Ok(()),
        Some(found) => Err(format!(
            "its error for the layer below has shape {found:?}, expected {expected:?}"
        )),
        None => Err(format!(
            "it returned no error for the layer below, expected {expected:?}"
        )),
    }
}
