//! The preset files of `host/presets`, compiled in.

/// Name and text of each file, from the names.
macro_rules! files {
    ($($name:literal)*) => {
        &[$((
            $name,
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/presets/", $name, ".toml")),
        )),*]
    };
}

/// All presets in the order of the list: name and text.
#[rustfmt::skip]
pub(super) const ALL: &[(&str, &str)] = files! {
    "softhebb/2SoftMlpMNIST" "softhebb/2SoftMlpMNIST_linearDecay" "softhebb/2SoftHebbCnnCIFAR"
    "softhebb/2HardCnnCIFAR" "softhebb/2HardCnnCIFAR_speed"
    "softhebb/2HardCnnCIFA_speed_linearDecay" "softhebb/2CnnCIFAR" "softhebb/3CnnCIFAR"
    "softhebb/4CnnCIFAR" "softhebb/3SoftHebbCnnCIFAR" "softhebb/3SoftHebbCnnCIFAR_wf2"
    "softhebb/3SoftHebbCnnCIFAR_wf1" "softhebb/3HardCnnCIFAR" "softhebb/4SoftHebbCnnCIFAR"
    "softhebb/4SoftHebbCnnCIFAR_HebbClassifier" "softhebb/4SoftHebbCnnCIFAR_noBatchNorm"
    "softhebb/4SoftHebbCnnCIFAR_doubleNeurons" "softhebb/4SoftHebbCnnCIFAR_halfNeurons"
    "softhebb/4SoftHebbCnnCIFAR_quarterNeurons" "softhebb/4SoftHebbCnnCIFAR_wf2"
    "softhebb/4SoftHebbCnnCIFAR_wf1" "softhebb/4HardCnnCIFAR" "softhebb/5SoftHebbCnnSTL" "softhebb/5HardCnnSTL"
    "softhebb/4SoftHebbCnnSTL" "softhebb/4CnnSTL" "softhebb/5CnnSTL" "softhebb/2HardCnnImNet"
    "softhebb/3HardCnnImNet" "softhebb/4HardCnnImNet" "softhebb/5HardCnnImNet"
    "softhebb/6HardCnnImNet" "softhebb/2SoftHebbCnnImNet" "softhebb/3SoftHebbCnnImNet"
    "softhebb/4SoftHebbCnnImNet" "softhebb/5SoftHebbCnnImNet" "softhebb/2CnnImNet"
    "softhebb/3CnnImNet" "softhebb/4CnnImNet" "softhebb/5CnnImNet" "softhebb/6CnnImNet"
    "softhebb/6SoftHebbCnnImNet"

    "softhebb/local/MNIST" "softhebb/local/MNIST_100aug" "softhebb/local/MNIST_1aug"
    "softhebb/local/MNIST_1-1" "softhebb/local/MNIST_1-10" "softhebb/local/MNIST_1-32"
    "softhebb/local/MNIST_1c" "softhebb/local/MNIST_2" "softhebb/local/MNIST_5"
    "softhebb/local/MNIST_10" "softhebb/local/MNIST_20" "softhebb/local/MNIST_50"
    "softhebb/local/FashionMNIST" "softhebb/local/CIFAR10" "softhebb/local/CIFAR10_2"
    "softhebb/local/CIFAR10_10" "softhebb/local/CIFAR10_20" "softhebb/local/CIFAR10_50"
    "softhebb/local/CIFAR10_70" "softhebb/local/CIFAR10_100" "softhebb/local/CIFAR10_1000"
    "softhebb/local/CIFAR10_1" "softhebb/local/CIFAR10_1-50" "softhebb/local/CIFAR10_1-1"
    "softhebb/local/CIFAR10_1c" "softhebb/local/CIFAR10_1c0" "softhebb/local/CIFAR10_1c1"
    "softhebb/local/CIFAR10_1c2" "softhebb/local/CIFAR10_1c3" "softhebb/local/CIFAR10_1c4"
    "softhebb/local/CIFAR10_1c5" "softhebb/local/CIFAR10_1c6" "softhebb/local/CIFAR10_1c7"
    "softhebb/local/CIFAR10_1c8" "softhebb/local/CIFAR10_1c9" "softhebb/local/CIFAR10_1p"
    "softhebb/local/CIFAR10_1p100e" "softhebb/local/CIFAR10_2p" "softhebb/local/CIFAR10_5p"
    "softhebb/local/CIFAR10_10p" "softhebb/local/CIFAR10_zca" "softhebb/local/CIFAR10_50zca"
    "softhebb/local/CIFAR10_100zca" "softhebb/local/CIFAR10_1zca" "softhebb/local/CIFAR10_zca100"
    "softhebb/local/CIFAR10_zca50" "softhebb/local/CIFAR10_zca1" "softhebb/local/CIFAR100"
    "softhebb/local/CIFAR100_2" "softhebb/local/CIFAR100_5" "softhebb/local/CIFAR100_10"
    "softhebb/local/CIFAR100_20" "softhebb/local/CIFAR100_50" "softhebb/local/CIFAR100_70"
    "softhebb/local/CIFAR100_100" "softhebb/local/CIFAR100_1000" "softhebb/local/CIFAR100_1"
    "softhebb/local/CIFAR100_1-50" "softhebb/local/CIFAR100_1c" "softhebb/local/CIFAR100_1p"
    "softhebb/local/CIFAR100_2p" "softhebb/local/CIFAR100_5p" "softhebb/local/CIFAR100_10p"
    "softhebb/local/CIFAR100_zca" "softhebb/local/CIFAR100_50zca" "softhebb/local/CIFAR100_100zca"
    "softhebb/local/CIFAR100_1zca" "softhebb/local/CIFAR100_zca100" "softhebb/local/CIFAR100_zca50"
    "softhebb/local/CIFAR100_zca1" "softhebb/local/STL10" "softhebb/local/STL10_aug"
    "softhebb/local/STL10_10" "softhebb/local/STL10_50" "softhebb/local/STL10_50aug"
    "softhebb/local/STL10_100aug" "softhebb/local/STL10_200aug" "softhebb/local/STL10_500aug"
    "softhebb/local/STL10_1" "softhebb/local/STL10_unlabel" "softhebb/local/STL10_unlabel-10"
    "softhebb/local/STL10_train+unlabel" "softhebb/local/ImageNet" "softhebb/local/ImageNet_50"
    "softhebb/local/ImageNet_200aug160" "softhebb/local/ImageNet_1160" "softhebb/local/ImageNet_1"
    "softhebb/local/ImageNet_200aug" "softhebb/local/ImageNetV2MatchedFrequency"
    "softhebb/local/ImageNetV2MatchedFrequency_200aug160"
    "softhebb/local/ImageNetV2MatchedFrequency_160" "softhebb/local/ImageNetV2Threshold07"
    "softhebb/local/ImageNetV2Threshold07_200aug160" "softhebb/local/ImageNetV2Threshold07_160"
    "softhebb/local/ImageNetV2TopImages" "softhebb/local/ImageNetV2TopImages_200aug160"
    "softhebb/local/ImageNetV2TopImages_160" "softhebb/local/ImageNette"
    "softhebb/local/ImageNette_50" "softhebb/local/ImageNette_10"
    "softhebb/local/ImageNette_10+250px" "softhebb/local/ImageNette_20"
    "softhebb/local/ImageNette_40" "softhebb/local/ImageNette_200aug"
    "softhebb/local/ImageNette_200aug+250px" "softhebb/local/ImageNette_100aug"
    "softhebb/local/ImageNette_1" "softhebb/local/ImageNette_5"

    "softhebb/gradient/MNIST" "softhebb/gradient/MNIST_100aug" "softhebb/gradient/MNIST_1aug"
    "softhebb/gradient/MNIST_1-1" "softhebb/gradient/MNIST_1-10" "softhebb/gradient/MNIST_1-32"
    "softhebb/gradient/MNIST_2" "softhebb/gradient/MNIST_5"
    "softhebb/gradient/MNIST_10" "softhebb/gradient/MNIST_20" "softhebb/gradient/MNIST_50"
    "softhebb/gradient/FashionMNIST" "softhebb/gradient/CIFAR10" "softhebb/gradient/CIFAR10_2"
    "softhebb/gradient/CIFAR10_10" "softhebb/gradient/CIFAR10_20" "softhebb/gradient/CIFAR10_50"
    "softhebb/gradient/CIFAR10_70" "softhebb/gradient/CIFAR10_100" "softhebb/gradient/CIFAR10_1000"
    "softhebb/gradient/CIFAR10_1" "softhebb/gradient/CIFAR10_1-50" "softhebb/gradient/CIFAR10_1-1"
   
   
   
    "softhebb/gradient/CIFAR10_1p"
    "softhebb/gradient/CIFAR10_1p100e" "softhebb/gradient/CIFAR10_2p" "softhebb/gradient/CIFAR10_5p"
    "softhebb/gradient/CIFAR10_10p" "softhebb/gradient/CIFAR10_zca"
    "softhebb/gradient/CIFAR10_50zca" "softhebb/gradient/CIFAR10_100zca"
    "softhebb/gradient/CIFAR10_1zca" "softhebb/gradient/CIFAR10_zca100"
    "softhebb/gradient/CIFAR10_zca50" "softhebb/gradient/CIFAR10_zca1" "softhebb/gradient/CIFAR100"
    "softhebb/gradient/CIFAR100_2" "softhebb/gradient/CIFAR100_5" "softhebb/gradient/CIFAR100_10"
    "softhebb/gradient/CIFAR100_20" "softhebb/gradient/CIFAR100_50" "softhebb/gradient/CIFAR100_70"
    "softhebb/gradient/CIFAR100_100" "softhebb/gradient/CIFAR100_1000"
    "softhebb/gradient/CIFAR100_1" "softhebb/gradient/CIFAR100_1-50"
    "softhebb/gradient/CIFAR100_1p" "softhebb/gradient/CIFAR100_2p" "softhebb/gradient/CIFAR100_5p"
    "softhebb/gradient/CIFAR100_10p" "softhebb/gradient/CIFAR100_zca"
    "softhebb/gradient/CIFAR100_50zca" "softhebb/gradient/CIFAR100_100zca"
    "softhebb/gradient/CIFAR100_1zca" "softhebb/gradient/CIFAR100_zca100"
    "softhebb/gradient/CIFAR100_zca50" "softhebb/gradient/CIFAR100_zca1" "softhebb/gradient/STL10"
    "softhebb/gradient/STL10_aug" "softhebb/gradient/STL10_10" "softhebb/gradient/STL10_50"
    "softhebb/gradient/STL10_50aug" "softhebb/gradient/STL10_100aug"
    "softhebb/gradient/STL10_200aug" "softhebb/gradient/STL10_500aug" "softhebb/gradient/STL10_1"
    "softhebb/gradient/STL10_unlabel" "softhebb/gradient/STL10_unlabel-10"
    "softhebb/gradient/STL10_train+unlabel" "softhebb/gradient/ImageNet"
    "softhebb/gradient/ImageNet_50" "softhebb/gradient/ImageNet_200aug160"
    "softhebb/gradient/ImageNet_1160" "softhebb/gradient/ImageNet_1"
    "softhebb/gradient/ImageNet_200aug" "softhebb/gradient/ImageNetV2MatchedFrequency"
    "softhebb/gradient/ImageNetV2MatchedFrequency_200aug160"
    "softhebb/gradient/ImageNetV2MatchedFrequency_160" "softhebb/gradient/ImageNetV2Threshold07"
    "softhebb/gradient/ImageNetV2Threshold07_200aug160"
    "softhebb/gradient/ImageNetV2Threshold07_160" "softhebb/gradient/ImageNetV2TopImages"
    "softhebb/gradient/ImageNetV2TopImages_200aug160" "softhebb/gradient/ImageNetV2TopImages_160"
    "softhebb/gradient/ImageNette" "softhebb/gradient/ImageNette_50"
    "softhebb/gradient/ImageNette_10" "softhebb/gradient/ImageNette_10+250px"
    "softhebb/gradient/ImageNette_20" "softhebb/gradient/ImageNette_40"
    "softhebb/gradient/ImageNette_200aug" "softhebb/gradient/ImageNette_200aug+250px"
    "softhebb/gradient/ImageNette_100aug" "softhebb/gradient/ImageNette_1"
    "softhebb/gradient/ImageNette_5"

    "biotorch/lenet-mnist" "biotorch/lenet-fashion-mnist" "biotorch/lenet-cifar10"
    "biotorch/resnet20-cifar10" "biotorch/resnet56-cifar10" "biotorch/resnet18-imagenet"
    "biotorch/resnet50-imagenet"

    "biopytorch/layers1" "biopytorch/layers2" "biopytorch/layers3" "biopytorch/layers4"
    "biopytorch/layers5"

    "darts/search" "darts/cifar10" "darts/imagenet" "bionas/cifar10" "bionas/imagenet"
    "egnas/search" "egnas/cifar10" "egnas/imagenet"

    "quickstart/network"
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::ALL;

    #[test]
    fn every_file_is_in_the_table_once() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("presets");
        let (mut found, mut pending) = (BTreeSet::new(), vec![root.clone()]);
        while let Some(folder) = pending.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    pending.push(path);
                } else {
                    let name = path.strip_prefix(&root).unwrap().with_extension("");
                    found.insert(name.to_str().unwrap().to_owned());
                }
            }
        }
        let listed: BTreeSet<String> = ALL.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(found, listed);
        assert_eq!(listed.len(), ALL.len(), "a name stands twice in the table");
    }

    #[test]
    fn every_file_says_what_it_is_in_its_first_line() {
        for (name, text) in ALL {
            let head = text.lines().next().unwrap_or_default();
            let doc = head.strip_prefix("# ").unwrap_or_default();
            assert!(!doc.is_empty(), "{name}: {head}");
        }
    }
}
