//! Files and folders that plugins are looked for in: damaged files, libraries that crash when
//! they are opened, folders that are not there.

mod damaged;
mod deadly;
mod folders;
mod home;
