//! `biorule report`: pages of real small runs are whole, load nothing, escape every text and say what
//! `run.json` says, whatever state the runs are in; what is no run is refused.

mod contents;
mod home;
mod states;
mod strangers;
