//! Networks, their passes and the trainer, with rules that need no plugin. One program, so that what
//! the tests share is compiled and linked once.

mod support;

mod autograd;
mod engine;
mod gradients;
mod supernet;
mod training;
