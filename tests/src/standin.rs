//! Data sets of random content in the layouts of the published ones, with few samples where the layout
//! allows it: what experiments are tried on where nothing was downloaded.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use image::{ImageFormat, Rgb, RgbImage};

use crate::Result;

/// Bytes of a small generator (Marsaglia's xorshift), the same at each call.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
    fn bytes(&mut self, n: usize) -> Vec<u8> {
        let words = (0..n.div_ceil(8)).flat_map(|_| self.next().to_le_bytes());
        words.take(n).collect()
    }
}

/// Writes all of them below `root`, as `BIORULE_DATA` names it.
///
/// # Errors
/// The disk refuses.
pub fn write(root: &Path) -> Result<()> {
    let mut noise = Noise(88_172_645_463_325_252);
    for set in ["mnist", "fashion-mnist"] {
        mnist(&root.join(set), &mut noise)?;
    }
    cifar(&root.join("cifar10/cifar-10-batches-bin"), &mut noise)?;
    cifar100(&root.join("cifar100/cifar-100-binary"), &mut noise)?;
    stl10(&root.join("stl10/stl10_binary"), &mut noise)?;
    // Classes by which the sets are recognised, and two more.
    pictures(
        &root.join("imagenette/imagenette2-160"),
        ["n01440764", "n02102040", "n03888257"],
        &mut noise,
    )?;
    pictures(
        &root.join("imagenet"),
        ["n01440764", "n02123045", "n03888257"],
        &mut noise,
    )
}

/// Writes those that experiments name by a folder of their own below `root`, where they are started.
///
/// # Errors
/// The disk refuses.
pub fn write_folders(root: &Path) -> Result<()> {
    let mut noise = Noise(1_442_695_040_888_963_407);
    for set in ["imagenet", "tiny-imagenet-200", "imagenet16-120"] {
        pictures(&root.join(set), ["cat", "dog", "eel"], &mut noise)?;
    }
    Ok(())
}

fn mnist(folder: &Path, noise: &mut Noise) -> Result<()> {
    fs::create_dir_all(folder)?;
    for (part, count) in [("train", 200u32), ("t10k", 40)] {
        let file = |name: &str| -> Result<GzEncoder<File>> {
            let path = folder.join(format!("{part}-{name}-ubyte.gz"));
            Ok(GzEncoder::new(File::create(path)?, Compression::fast()))
        };
        let mut images = file("images-idx3")?;
        for number in [2051, count, 28, 28] {
            images.write_all(&number.to_be_bytes())?;
        }
        images.write_all(&noise.bytes(count as usize * 784))?;
        images.finish()?;
        let mut labels = file("labels-idx1")?;
        for number in [2049, count] {
            labels.write_all(&number.to_be_bytes())?;
        }
        labels.write_all(&(0..count).map(|i| (i % 10) as u8).collect::<Vec<u8>>())?;
        labels.finish()?;
    }
    Ok(())
}

/// Records of `labels` bytes and 3,072 pixels; the layout has so many.
fn records(
    path: &Path,
    count: usize,
    labels: &dyn Fn(usize) -> Vec<u8>,
    noise: &mut Noise,
) -> Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    for i in 0..count {
        out.write_all(&labels(i))?;
        out.write_all(&noise.bytes(3072))?;
    }
    Ok(out.flush()?)
}

fn cifar(folder: &Path, noise: &mut Noise) -> Result<()> {
    fs::create_dir_all(folder)?;
    let label = |i: usize| vec![(i % 10) as u8];
    for name in (1..=5)
        .map(|n| format!("data_batch_{n}.bin"))
        .chain(["test_batch.bin".into()])
    {
        records(&folder.join(name), 10_000, &label, noise)?;
    }
    Ok(())
}

fn cifar100(folder: &Path, noise: &mut Noise) -> Result<()> {
    fs::create_dir_all(folder)?;
    let labels = |i: usize| vec![(i % 20) as u8, (i % 100) as u8];
    records(&folder.join("train.bin"), 50_000, &labels, noise)?;
    records(&folder.join("test.bin"), 10_000, &labels, noise)
}

fn stl10(folder: &Path, noise: &mut Noise) -> Result<()> {
    fs::create_dir_all(folder)?;
    for (part, count) in [("train", 40), ("test", 20), ("unlabeled", 40)] {
        fs::write(
            folder.join(format!("{part}_X.bin")),
            noise.bytes(count * 27_648),
        )?;
        if part != "unlabeled" {
            let labels: Vec<u8> = (0..count).map(|i| 1 + (i % 10) as u8).collect();
            fs::write(folder.join(format!("{part}_y.bin")), labels)?;
        }
    }
    Ok(())
}

fn pictures(folder: &Path, classes: [&str; 3], noise: &mut Noise) -> Result<()> {
    for (part, count) in [("train", 8u32), ("val", 4)] {
        for class in classes {
            let place = folder.join(part).join(class);
            fs::create_dir_all(&place)?;
            for n in 0..count {
                let picture = RgbImage::from_fn(80 + 8 * n, 100, |_, _| {
                    let [r, g, b, ..] = noise.next().to_le_bytes();
                    Rgb([r, g, b])
                });
                picture.save_with_format(place.join(format!("{n}.JPEG")), ImageFormat::Jpeg)?;
            }
        }
    }
    Ok(())
}
