//! The kernels against plain loops. One program, so that what the tests share is compiled and linked
//! once.

mod support;

mod compete;
mod conv;
mod denormals;
mod dense;
mod layers;
mod threads;
