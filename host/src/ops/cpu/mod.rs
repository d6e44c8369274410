//! The CPU side of the operations: generic over `f32` and `f64`, parallel over
//! images or rows with rayon, every sum in one fixed order so that results do
//! not depend on the number of threads.

pub mod activation;
pub mod along;
pub mod conv;
pub mod dense;
pub mod dropout;
pub mod loss;
pub mod norm;
pub mod optim;
pub mod pad;
pub mod pool;
pub mod real;
pub mod reduce;
pub mod rows;
pub mod shape;
pub mod synapses;
