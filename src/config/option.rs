//! The shape of one row of the option table, and the words it is written in.

use std::time::Duration;

use super::kind::Kind;

/// One option: what it is called, what it may be, what it is when nobody sets it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OptionDef {
    pub(crate) section: &'static str,
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) spec: Spec,
}

/// The part of an option that its declaration spells out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spec {
    pub(crate) kind: Kind,
    /// As it would stand in a file; empty means "not set".
    pub(crate) default: &'static str,
    /// Other (section, name) pairs under which releases have known it.
    pub(crate) aliases: &'static [(&'static str, &'static str)],
    pub(crate) secret: bool,
}

impl Spec {
    pub(crate) const fn also(self, aliases: &'static [(&'static str, &'static str)]) -> Self {
        Self { aliases, ..self }
    }

    pub(crate) const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }
}

impl OptionDef {
    /// As people write it: `[section] name`.
    pub(crate) fn label(&self) -> String {
        format!("[{}] {}", self.section, self.name)
    }

    pub(crate) fn default_items(&self) -> Vec<String> {
        self.spec.kind.items(self.spec.default)
    }
}

const fn spec(kind: Kind, default: &'static str) -> Spec {
    Spec { kind, default, aliases: &[], secret: false }
}

pub(crate) const fn text(default: &'static str) -> Spec {
    spec(Kind::Text, default)
}

pub(crate) const fn list(default: &'static str) -> Spec {
    spec(Kind::List, default)
}

pub(crate) const fn multi(choices: &'static [&'static str]) -> Spec {
    spec(Kind::Multi { choices }, "")
}

pub(crate) const fn boolean(default: &'static str) -> Spec {
    spec(Kind::Boolean, default)
}

pub(crate) const fn integer(default: &'static str, min: i64, max: i64) -> Spec {
    spec(Kind::Integer { min, max }, default)
}

pub(crate) const fn duration(default: &'static str) -> Spec {
    spec(Kind::Duration { min: Duration::ZERO }, default)
}

pub(crate) const fn duration_from(default: &'static str, min: Duration) -> Spec {
    spec(Kind::Duration { min }, default)
}

pub(crate) const fn url(default: &'static str, schemes: &'static [&'static str]) -> Spec {
    spec(Kind::Url { schemes }, default)
}

pub(crate) const fn choice(default: &'static str, choices: &'static [&'static str]) -> Spec {
    spec(Kind::Choice { choices }, default)
}

pub(crate) const fn path(default: &'static str) -> Spec {
    spec(Kind::Path, default)
}

pub(crate) const fn port(default: &'static str) -> Spec {
    spec(Kind::Port, default)
}

pub(crate) const fn pattern(default: &'static str) -> Spec {
    spec(Kind::Pattern, default)
}

pub(crate) const fn address(default: &'static str) -> Spec {
    spec(Kind::Address, default)
}

/// Declares a section once: the struct that the program reads and the rows of the table.
///
/// The documentation of a field is the help text of its option, so it is written for operators.
macro_rules! section {
    (
        $(#[doc = $about:literal])*
        $section:literal => $name:ident {
            $($(#[doc = $help:literal])* $field:ident: $ty:ty = $spec:expr;)*
        }
    ) => {
        #[doc = "```text"]
        $(#[doc = $about])*
        #[doc = "```"]
        #[derive(Debug, Clone)]
        pub struct $name {
            $(
                // Help texts are plain text, with [sections] and URLs that rustdoc would take for links.
                #[doc = "```text"]
                $(#[doc = $help])*
                #[doc = "```"]
                pub $field: $ty,
            )*
        }

        impl $name {
            pub(crate) const ABOUT: &'static str = concat!($($about, "\n"),*);
            pub(crate) const SECTION: &'static str = $section;
            pub(crate) const OPTIONS: &'static [$crate::config::option::OptionDef] = &[
                $($crate::config::option::OptionDef {
                    section: $section,
                    name: stringify!($field),
                    help: concat!($($help, "\n"),*),
                    spec: $spec,
                },)*
            ];

            pub(crate) fn read(from: &mut $crate::config::settings::Reader<'_>) -> Self {
                Self { $($field: from.take($section, stringify!($field)),)* }
            }
        }
    };
}
pub(crate) use section;
