pub(super) use crate::reference::conv::{forward, input_grad, weight_grad};
