//! What a struct of the boundary says of itself, for the written record in `lock`.

/// Name and fields of a struct that crosses the boundary.
#[derive(Clone, Copy, Debug)]
pub struct StructDecl {
    /// Type name.
    pub name: &'static str,
    /// Field names and types, in order.
    pub fields: &'static [(&'static str, &'static str)],
}

/// Declares a `#[repr(C)]` struct and the [`StructDecl`] that the lock lists.
macro_rules! abi_struct {
    ($(#[$meta:meta])* pub struct $name:ident { $( $(#[$field_meta:meta])* $field:ident : $ty:ty, )* }) => {
        $(#[$meta])*
        #[repr(C)]
        pub struct $name { $( $(#[$field_meta])* pub $field: $ty, )* }
        impl $name {
            /// Name and fields, for `abi.lock`.
            pub const DECL: $crate::abi::decl::StructDecl = $crate::abi::decl::StructDecl {
                name: stringify!($name),
                fields: &[ $( (stringify!($field), stringify!($ty)) ),* ],
            };
        }
    };
}
pub(crate) use abi_struct;
