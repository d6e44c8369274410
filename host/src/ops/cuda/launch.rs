//! A kernel launch and a matrix product as plain values: what `machine` hands to whoever runs them.

use super::source::Source;

/// Threads of a block wherever nothing else is said.
pub(super) const THREADS: u32 = 256;

/// Most blocks of one grid axis on a GPU; kernels loop over what is left.
pub(super) const MOST_BLOCKS: u32 = 65_535;
/// The same where kernels are emulated: so few that the tests' small shapes need the loops.
pub(super) const MOST_EMULATED: u32 = 3;

/// Integers of the structs that kernels take by value (`Conv`, `Window`).
pub(super) const INTS: usize = 20;

/// One kernel argument.
#[derive(Clone, Copy, Debug)]
pub(super) enum Arg {
    /// The bits of an integer, a pointer or a `double`.
    Word(u64),
    /// A `real`, rounded to the kernel's element type.
    Real(f64),
    /// A struct of integers.
    Ints([i32; INTS]),
    /// An integer that does not fit the kernel's `int`.
    TooLarge(usize),
}

/// A size as an `int`.
pub(super) fn int(value: usize) -> Arg {
    i32::try_from(value).map_or(Arg::TooLarge(value), |v| {
        Arg::Word(u64::from(v.unsigned_abs()))
    })
}

/// A size as a `wide`.
pub(super) fn wide(value: usize) -> Arg {
    Arg::Word(value as u64)
}

/// A `double`.
pub(super) fn double(value: f64) -> Arg {
    Arg::Word(value.to_bits())
}

/// A switch as an `int`.
pub(super) fn flag(value: bool) -> Arg {
    Arg::Word(u64::from(value))
}

/// A struct of sizes and small numbers.
pub(super) fn ints(values: &[usize]) -> Arg {
    let mut out = [0; INTS];
    for (out, value) in out.iter_mut().zip(values) {
        match i32::try_from(*value) {
            Ok(v) => *out = v,
            Err(_) => return Arg::TooLarge(*value),
        }
    }
    Arg::Ints(out)
}

/// A null pointer.
pub(super) const NULL: Arg = Arg::Word(0);

/// A kernel with its grid and arguments.
pub(super) struct Launch<'a> {
    pub source: Source,
    pub kernel: &'static str,
    /// Blocks along x and y.
    pub grid: [u32; 2],
    /// Threads of a block along x and y.
    pub block: [u32; 2],
    pub args: &'a [Arg],
}

/// Blocks for `items` one thread each along x, and `rows` along y, at most `most` along each.
pub(super) fn cover(items: usize, rows: usize, most: u32) -> [u32; 2] {
    let blocks = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).clamp(1, most);
    [blocks(items.div_ceil(THREADS as usize)), blocks(rows)]
}

/// A row-major product `c[m, n] = op(a)[m, k] · op(b)[k, n] + beta·c`, repeated
/// for `batch` matrices. `ld` is the distance of rows, `stride` that of matrices, in elements.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gemm {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub a: Matrix,
    pub b: Matrix,
    pub c: Matrix,
    /// Whether the product is added to what `c` holds.
    pub add: bool,
    pub batch: usize,
}

/// An operand of a [`Gemm`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Matrix {
    pub at: u64,
    pub ld: usize,
    pub stride: usize,
    pub transposed: bool,
}
