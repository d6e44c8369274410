//! Published sets of pictures in a folder for each class: ImageNette, ImageNet and ImageNetV2. Pictures
//! are brought to the size of a sample whole (`data.resize`, `resize_method`), or for training by a random
//! piece (`data.augment.resized_crop`), which is cut from the picture as it is stored. What is decoded is
//! kept in the cache folder as bytes, mapped, up to `data.options.decoded` GiB; of larger sets each picture
//! is decoded from its file by the loader's threads when a batch asks for it.

mod places;
mod reading;
mod sets;

pub(crate) use reading::{check, class_names, counts, part, records, unpack};
pub(crate) use sets::{IMAGENET, IMAGENETTE, MATCHED, THRESHOLD, TOP};
