//! Reading JSON by borrowing: what no rule reads is skipped, and what a rule reads must be there once.

use std::{borrow::Cow, fmt, marker::PhantomData, ops::Deref};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};

/// How the errors of keys that appear twice begin: they make the whole body untrustworthy, unlike other errors.
pub const DUPLICATE: &str = "duplicate key";

/// More entries than this are searched for duplicates by sorting.
const FEW: usize = 16;

/// A string, borrowed from the body unless it has escapes.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Text<'a>(pub Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// A quantity as it was written, a string or a number; null is 0.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Amount<'a>(pub Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Amount<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AmountVisitor;
        impl<'de> Visitor<'de> for AmountVisitor {
            type Value = Amount<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a quantity")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Amount(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Amount(Cow::Owned(text.to_owned())))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
                Ok(Amount(Cow::Owned(number.to_string())))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
                Ok(Amount(Cow::Owned(number.to_string())))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
                Ok(Amount(Cow::Owned(number.to_string())))
            }

            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Ok(Amount(Cow::Borrowed("0")))
            }
        }
        deserializer.deserialize_any(AmountVisitor)
    }
}

/// A JSON object with keys of the user's, in their order, each there once.
#[derive(Clone, Debug)]
pub struct Map<'a, V>(Vec<(Text<'a>, V)>);

impl<V> Default for Map<'_, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'a, V> Map<'a, V> {
    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&V> {
        self.iter()
            .find(|(name, _)| *name == key)
            .map(|(_, value)| value)
    }

    /// The entries, in the order in which they were written.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &V)> {
        self.0.iter().map(|(key, value)| (&**key, value))
    }

    fn duplicate(&self) -> Option<&str> {
        if self.0.len() > FEW {
            let mut keys: Vec<&str> = self.iter().map(|(key, _)| key).collect();
            keys.sort_unstable();
            return keys.array_windows().find(|[a, b]| a == b).map(|[a, _]| *a);
        }
        let repeated = |(i, (key, _)): (usize, &(Text<'a>, V))| {
            self.0.iter().take(i).any(|(earlier, _)| earlier == key)
        };
        self.0
            .iter()
            .enumerate()
            .find(|entry| repeated(*entry))
            .map(|(_, (key, _))| &**key)
    }
}

impl<'de: 'a, 'a, V: Deserialize<'de>> Deserialize<'de> for Map<'a, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MapVisitor<'a, V>(PhantomData<(Text<'a>, V)>);
        impl<'de: 'a, 'a, V: Deserialize<'de>> Visitor<'de> for MapVisitor<'a, V> {
            type Value = Map<'a, V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
                let mut map = Map::default();
                while let Some(entry) = entries.next_entry()? {
                    map.0.push(entry);
                }
                match map.duplicate() {
                    Some(key) => Err(A::Error::custom(format_args!("{DUPLICATE} {key:?}"))),
                    None => Ok(map),
                }
            }
        }
        deserializer.deserialize_map(MapVisitor(PhantomData))
    }
}

/// Declares an object of which only the named keys are read; each may be absent, none may be there twice.
/// Unlike serde's derive, an array is not taken for an object. A type parameter stands for what one field holds.
macro_rules! object {
    ($(#[$doc:meta])* $name:ident $(<$param:ident>)? {
        $($(#[$field_doc:meta])* $field:ident: $type:ty = $key:literal,)+
    }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default)]
        pub struct $name<'a $(, $param)?> { $($(#[$field_doc])* pub $field: Option<$type>,)+ }

        impl<'de: 'a, 'a $(, $param: serde::Deserialize<'de>)?> serde::Deserialize<'de> for $name<'a $(, $param)?> {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct ObjectVisitor<'a $(, $param)?>(std::marker::PhantomData<(&'a (), $($param)?)>);
                impl<'de: 'a, 'a $(, $param: serde::Deserialize<'de>)?> serde::de::Visitor<'de>
                    for ObjectVisitor<'a $(, $param)?>
                {
                    type Value = $name<'a $(, $param)?>;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("an object")
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
                        $(let mut $field: Option<Option<$type>> = None;)+
                        while let Some(key) = entries.next_key::<$crate::core::json::Text<'de>>()? {
                            match &*key {
                                $($key => {
                                    if $field.replace(entries.next_value()?).is_some() {
                                        return Err(serde::de::Error::custom(format_args!(
                                            "{} {:?}", $crate::core::json::DUPLICATE, $key
                                        )));
                                    }
                                })+
                                _ => { entries.next_value::<serde::de::IgnoredAny>()?; }
                            }
                        }
                        Ok($name { $($field: $field.flatten(),)+ })
                    }
                }
                deserializer.deserialize_map(ObjectVisitor(std::marker::PhantomData))
            }
        }
    };
}
pub(crate) use object;
