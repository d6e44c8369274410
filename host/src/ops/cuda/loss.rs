//! Losses with their gradients; the sums stay on the device.

use candle_core::{DType, Tensor};

use super::machine::{Machine, int};
use super::source::Source;
use crate::{Error, Result};

/// See [`crate::ops::loss::cross_entropy`]. A label outside the classes gives a
/// NaN loss instead of an error, since labels are not read back.
pub fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Result<(Tensor, Tensor)> {
    let (b, o) = logits.dims2()?;
    check_rows(labels, b)?;
    let m = Machine::of(logits)?;
    let (logits, labels) = (m.input(logits)?, m.any_input(labels)?);
    let (sums, grad) = (m.typed_output(2, DType::F64, false)?, m.output(b * o)?);
    let args = [
        int(b),
        int(o),
        logits.arg(),
        labels.arg(),
        sums.arg(),
        grad.arg(),
    ];
    m.reduce(Source::Loss, "cross_entropy", [1, 1], &args)?;
    Ok((sums.tensor(&[2]), grad.tensor(&[b, o])))
}

/// See [`crate::ops::loss::half_mse`].
pub fn half_mse(y: &Tensor, target: &Tensor) -> Result<(Tensor, Tensor)> {
    let (b, o) = y.dims2()?;
    if target.dims() != y.dims() {
        return Err(Error::data(format!(
            "targets of shape {:?} for an output of shape {:?}",
            target.dims(),
            y.dims()
        )));
    }
    let m = Machine::of(y)?;
    let target = target.to_dtype(y.dtype())?;
    let (y, target) = (m.input(y)?, m.input(&target)?);
    let (sums, grad) = (m.typed_output(2, DType::F64, false)?, m.output(b * o)?);
    let args = [
        int(b),
        int(o),
        y.arg(),
        target.arg(),
        sums.arg(),
        grad.arg(),
    ];
    m.reduce(Source::Loss, "half_mse", [1, 1], &args)?;
    Ok((sums.tensor(&[2]), grad.tensor(&[b, o])))
}

/// See [`crate::ops::loss::count_right`].
pub fn count_right(y: &Tensor, labels: &Tensor) -> Result<Tensor> {
    let (b, o) = y.dims2()?;
    check_rows(labels, b)?;
    let m = Machine::of(y)?;
    let (y, labels) = (m.input(y)?, m.any_input(labels)?);
    let sums = m.typed_output(2, DType::F64, false)?;
    let args = [int(b), int(o), y.arg(), labels.arg(), sums.arg()];
    m.reduce(Source::Loss, "count_right", [1, 1], &args)?;
    Ok(sums.tensor(&[2]))
}

fn check_rows(labels: &Tensor, rows: usize) -> Result<()> {
    if labels.dtype() == DType::U32 && labels.dims() == [rows] {
        return Ok(());
    }
    Err(Error::data(format!(
        "labels {:?} {:?} for an output of {rows} rows",
        labels.dtype(),
        labels.dims()
    )))
}
