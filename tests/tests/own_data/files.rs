//! Small files of each layout.

use std::io::{Cursor, Write};
use std::path::Path;

use flate2::{Compression, write::GzEncoder};
use image::{ImageFormat, Rgb, RgbImage};
use zip::write::SimpleFileOptions;

/// A folder that goes away with the test.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
    pub fn path(&self) -> &Path {
        self.0.path()
    }
    /// Writes `name` in it, with the folders above.
    pub fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

/// A colour picture of width `w` and height `h`.
pub fn picture(w: u32, h: u32, tone: u8, ending: &str) -> Vec<u8> {
    let pixel = |x: u32, y: u32| Rgb([tone, (x * 20) as u8, (y * 20) as u8]);
    let format = ImageFormat::from_extension(ending).unwrap();
    let mut to = Cursor::new(Vec::new());
    RgbImage::from_fn(w, h, pixel)
        .write_to(&mut to, format)
        .unwrap();
    to.into_inner()
}

/// A file in the layout of MNIST.
pub fn idx(sizes: &[usize], body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, sizes.len() as u8];
    sizes
        .iter()
        .for_each(|s| bytes.extend((*s as u32).to_be_bytes()));
    bytes.extend(body);
    bytes
}

pub fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut to = GzEncoder::new(Vec::new(), Compression::default());
    to.write_all(bytes).unwrap();
    to.finish().unwrap()
}

/// A numpy array as `numpy.save` writes it.
pub fn npy(descr: &str, shape: &str, body: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    let padded = format!("{header:<117}\n");
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((padded.len() as u16).to_le_bytes());
    file.extend(padded.as_bytes());
    file.extend(body);
    file
}

/// `numpy.savez`, or `savez_compressed`.
pub fn npz(arrays: &[(&str, &Vec<u8>)], packed: bool) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let method = match packed {
        true => zip::CompressionMethod::Deflated,
        false => zip::CompressionMethod::Stored,
    };
    // numpy writes zip64 headers, however small the arrays.
    let options = SimpleFileOptions::default()
        .compression_method(method)
        .large_file(true);
    for (name, array) in arrays {
        zip.start_file(format!("{name}.npy"), options).unwrap();
        zip.write_all(array).unwrap();
    }
    zip.finish().unwrap().into_inner()
}
