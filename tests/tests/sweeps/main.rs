//! `biorule sweep` with the real binary and plugins on the embedded digits: the same study gives the
//! same trials and bits, whatever is killed on the way; what cannot be run is refused before anything runs.

mod found;
mod home;
mod kills;
mod studies;
mod trials;
