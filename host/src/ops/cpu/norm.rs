//! Batch normalisation on the kernels crate.

use biorule_kernels::Planes;
use biorule_kernels::norm::{self, Gradients};
use candle_core::Tensor;

use super::real::{Real, by_dtype, dims4, filled, read, tensor, unwritten};
use crate::Result;
use crate::ops::args::{NormBackward, NormForward, NormGradients};

fn planes(x: &Tensor) -> Result<Planes> {
    let [b, c, h, w] = dims4(x)?;
    Ok(Planes::new(b, c, h * w))
}

/// See [`crate::ops::norm::batch_statistics`].
pub fn statistics(x: &Tensor) -> Result<(Tensor, Tensor)> {
    by_dtype!(x, T => statistics_typed::<T>(x))
}

fn statistics_typed<T: Real>(x: &Tensor) -> Result<(Tensor, Tensor)> {
    let d = planes(x)?;
    let (mut mean, mut var) = (unwritten::<T>(d.c), unwritten::<T>(d.c));
    read::<T, _>(x, |x| norm::batch_stats(d, x, &mut mean, &mut var))?;
    Ok((tensor(mean, &[d.c])?, tensor(var, &[d.c])?))
}

fn channels<T: Real>(t: &Tensor) -> Result<Vec<T>> {
    read::<T, _>(t, <[T]>::to_vec)
}

/// See [`crate::ops::norm::normalise`].
pub fn normalise(args: &NormForward<'_>) -> Result<Tensor> {
    by_dtype!(args.x, T => normalise_typed::<T>(*args))
}

fn normalise_typed<T: Real>(args: NormForward<'_>) -> Result<Tensor> {
    let NormForward {
        x,
        mean,
        var,
        eps,
        affine,
    } = args;
    let d = planes(x)?;
    let (mean, var) = (channels::<T>(mean)?, channels::<T>(var)?);
    let affine = affine
        .map(|a| Ok::<_, crate::Error>((channels::<T>(&a.gain)?, channels::<T>(&a.shift)?)))
        .transpose()?;
    let affine = affine.as_ref().map(|(g, s)| (&g[..], &s[..]));
    read::<T, _>(x, |values| {
        filled::<T>(x.dims(), |y| {
            norm::batch_forward_frozen(d, eps, values, &mean, &var, affine, y);
        })
    })?
}

/// See [`crate::ops::norm::normalise_backward`].
pub fn backward(args: &NormBackward<'_>) -> Result<NormGradients> {
    by_dtype!(args.x, T => backward_typed::<T>(*args))
}

fn backward_typed<T: Real>(args: NormBackward<'_>) -> Result<NormGradients> {
    let NormBackward {
        x,
        grad,
        mean,
        var,
        eps,
        gain,
        through_statistics,
        want_x,
    } = args;
    let d = planes(x)?;
    let (mean, var) = (channels::<T>(mean)?, channels::<T>(var)?);
    let gain = gain.map(channels::<T>).transpose()?;
    let mut dx = want_x.then(|| unwritten::<T>(d.len()));
    let (mut dgain, mut dshift) = (unwritten::<T>(d.c), unwritten::<T>(d.c));
    read::<T, _>(x, |x| {
        read::<T, _>(grad, |grad| {
            let out = Gradients {
                dx: dx.as_deref_mut(),
                affine: Some((&mut dgain[..], &mut dshift[..])),
            };
            let gain = gain.as_deref();
            if through_statistics {
                norm::batch_backward_train(d, eps, x, grad, &mean, &var, gain, out);
            } else {
                norm::batch_backward_frozen(d, eps, x, grad, &mean, &var, gain, out);
            }
        })
    })??;
    Ok(NormGradients {
        x: dx.map(|v| tensor(v, x.dims())).transpose()?,
        gain: tensor(dgain, &[d.c])?,
        shift: tensor(dshift, &[d.c])?,
    })
}
