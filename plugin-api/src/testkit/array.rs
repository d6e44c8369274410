//! Tensors as plain numbers: what a test gives to a rule, and what it gets back.

use crate::sdk::{DType, Result, RuleError};

/// Numbers with a shape, outermost axis first. Arithmetic is done in f64 and rounded
/// to the element type after each op.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    shape: Vec<usize>,
    dtype: DType,
    values: Vec<f64>,
}

impl Array {
    /// From values in row-major order, as f64.
    ///
    /// # Panics
    /// `values` does not fill `shape`.
    #[must_use]
    pub fn new(shape: &[usize], values: &[f64]) -> Self {
        Self::of(DType::F64, shape, values.to_vec())
    }
    /// From values of a given element type, rounded to it.
    ///
    /// # Panics
    /// `values` does not fill `shape`.
    #[must_use]
    pub fn of(dtype: DType, shape: &[usize], mut values: Vec<f64>) -> Self {
        let n: usize = shape.iter().product();
        assert_eq!(n, values.len(), "values for the shape {shape:?}");
        match dtype {
            DType::F64 => {}
            DType::F32 => values.iter_mut().for_each(|v| *v = f64::from(*v as f32)),
            DType::U32 => values.iter_mut().for_each(|v| *v = f64::from(*v as u32)),
            DType::U8 => values.iter_mut().for_each(|v| *v = f64::from(*v as u8)),
        }
        let shape = shape.to_vec();
        Self {
            shape,
            dtype,
            values,
        }
    }
    /// One value everywhere.
    #[must_use]
    pub fn full(shape: &[usize], value: f64) -> Self {
        Self::new(shape, &vec![value; shape.iter().product()])
    }
    /// Numbers in −1..1 that depend on `seed` and their place alone.
    #[must_use]
    pub fn noise(seed: u64, shape: &[usize]) -> Self {
        let mut next = uniform(seed);
        let values = (0..shape.iter().product()).map(|_| 2.0 * next() - 1.0);
        Self::of(DType::F64, shape, values.collect())
    }
    /// `[B, classes]` with a one at each label.
    ///
    /// # Panics
    /// A label that is no class.
    #[must_use]
    pub fn one_hot(labels: &[usize], classes: usize) -> Self {
        let mut values = vec![0.0; labels.len() * classes];
        for (row, label) in labels.iter().enumerate() {
            assert!(*label < classes, "label {label} of {classes} classes");
            values[row * classes + label] = 1.0;
        }
        Self::of(DType::F64, &[labels.len(), classes], values)
    }

    /// Shape.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }
    /// Element type.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.dtype
    }
    /// All values, row-major.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.values
    }
    /// The value at `index`.
    ///
    /// # Panics
    /// Outside the shape.
    #[must_use]
    pub fn at(&self, index: &[usize]) -> f64 {
        assert_eq!(index.len(), self.shape.len(), "axes of {:?}", self.shape);
        let flat = index.iter().zip(&self.shape).fold(0, |flat, (i, n)| {
            assert!(i < n, "{index:?} in {:?}", self.shape);
            flat * n + i
        });
        self.values[flat]
    }
    /// Another element type.
    #[must_use]
    pub fn to(&self, dtype: DType) -> Self {
        Self::of(dtype, &self.shape, self.values.clone())
    }
    /// The same values in another shape.
    ///
    /// # Errors
    /// Another number of values.
    pub fn reshape(&self, shape: &[usize]) -> Result<Self> {
        if shape.iter().product::<usize>() != self.values.len() {
            let text = format!("{:?} cannot become {shape:?}", self.shape);
            return Err(RuleError::shape(text));
        }
        Ok(Self::of(self.dtype, shape, self.values.clone()))
    }
    /// `f` of each value.
    #[must_use]
    pub fn map(&self, f: impl FnMut(&f64) -> f64) -> Self {
        Self::of(self.dtype, &self.shape, self.values.iter().map(f).collect())
    }
    /// `f` of each pair of values, broadcast as in NumPy.
    ///
    /// # Errors
    /// Shapes that do not broadcast.
    pub fn zip(&self, other: &Self, f: impl Fn(f64, f64) -> f64) -> Result<Self> {
        let shape = common(&self.shape, &other.shape)?;
        let (a, b) = (self.broadcast(&shape)?, other.broadcast(&shape)?);
        let pairs = a.values.iter().zip(&b.values);
        let values = pairs.map(|(a, b)| f(*a, *b)).collect();
        Ok(Self::of(self.dtype, &shape, values))
    }
    /// Repeated along axes of size 1.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn broadcast(&self, shape: &[usize]) -> Result<Self> {
        let fits = common(&self.shape, shape).is_ok_and(|common| common == shape);
        if !fits {
            let text = format!("{:?} does not broadcast to {shape:?}", self.shape);
            return Err(RuleError::shape(text));
        }
        let missing = shape.len() - self.shape.len();
        Ok(self.pick(shape, |index| {
            let own = index[missing..].iter().zip(&self.shape);
            own.fold(0, |flat, (i, n)| flat * n + if *n == 1 { 0 } else { *i })
        }))
    }
    /// An array of `shape` whose entry at an index is our entry `from(index)`, row-major.
    pub(super) fn pick(&self, shape: &[usize], from: impl Fn(&[usize]) -> usize) -> Self {
        let mut values = Vec::with_capacity(shape.iter().product());
        for_each_index(shape, |index| values.push(self.values[from(index)]));
        Self::of(self.dtype, shape, values)
    }
    /// Largest difference to `other`.
    ///
    /// # Panics
    /// Shapes that differ.
    #[must_use]
    pub fn distance(&self, other: &Self) -> f64 {
        assert_eq!(self.shape, other.shape, "shapes");
        let pairs = self.values.iter().zip(&other.values);
        pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    }

    /// [`Array::distance`] beside the largest value of `other`.
    ///
    /// # Panics
    /// Shapes that differ.
    #[must_use]
    pub fn apart(&self, other: &Self) -> f64 {
        let size = other.values.iter().fold(1e-6, |m: f64, v| m.max(v.abs()));
        self.distance(other) / size
    }
}

/// The shape to which both broadcast.
pub(super) fn common(a: &[usize], b: &[usize]) -> Result<Vec<usize>> {
    let rank = a.len().max(b.len());
    let size = |shape: &[usize], axis: usize| match (axis + shape.len()).checked_sub(rank) {
        Some(axis) => shape[axis],
        None => 1,
    };
    (0..rank)
        .map(|axis| match (size(a, axis), size(b, axis)) {
            (m, n) if m == n || n == 1 => Ok(m),
            (1, n) => Ok(n),
            _ => Err(RuleError::shape(format!(
                "{a:?} and {b:?} do not broadcast"
            ))),
        })
        .collect()
}

/// Calls `f` with every index into `shape`, row-major.
pub(super) fn for_each_index(shape: &[usize], mut f: impl FnMut(&[usize])) {
    let mut index = vec![0; shape.len()];
    for _ in 0..shape.iter().product() {
        f(&index);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
}

/// Numbers in 0..1 of the stream `seed` (`SplitMix64`).
pub(super) fn uniform(seed: u64) -> impl FnMut() -> f64 {
    let mut state = crate::sdk::mix(seed);
    move || {
        let value = crate::sdk::mix(state);
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        (value >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Standard normal numbers of the stream `seed` (Box and Muller 1958).
pub(super) fn normal(seed: u64) -> impl FnMut() -> f64 {
    let mut next = uniform(seed);
    move || {
        let radius = (-2.0 * (1.0 - next()).ln()).sqrt();
        radius * (std::f64::consts::TAU * next()).cos()
    }
}
