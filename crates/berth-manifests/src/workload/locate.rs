//! Where the patch of a Pod lies in the document that has its template.

use json_patch::{AddOperation, Patch, PatchOperation, jsonptr::PointerBuf};
use serde_json::{Value, json};

use super::{PodTemplate, ancestors, unescaped};

const ANNOTATIONS: &str = "/metadata/annotations";

impl PodTemplate {
    /// The Pod's patch as one of the document, without what it does to containers that are not there.
    #[must_use]
    pub fn locate_patch(&self, patch: Patch, document: &Value) -> Patch {
        let mut is_made = false;
        let located = patch.0.into_iter().filter_map(|operation| {
            let made = match &operation {
                PatchOperation::Add(add) if !is_made => self.make_annotations(add, document),
                _ => None,
            };
            is_made |= made.is_some();
            made.or_else(|| self.locate_operation(operation, document))
        });
        Patch(located.collect())
    }

    /// Where a path of the Pod's patch lies in the document.
    #[must_use]
    pub fn locate(&self, path: &str) -> String {
        if let Some(rest) = path.strip_prefix(ANNOTATIONS) {
            let annotations = self.annotations.last();
            return format!("{}{rest}", annotations.map_or("", String::as_str));
        }
        path.strip_prefix("/spec")
            .map_or_else(|| path.to_owned(), |rest| format!("{}{rest}", self.spec))
    }

    /// The map of annotations with its first entry, or with all of them, where the document has no such map: the Pod has
    /// what another map gave it.
    fn make_annotations(&self, add: &AddOperation, document: &Value) -> Option<PatchOperation> {
        let key = add.path.as_str().strip_prefix(ANNOTATIONS)?;
        let map = self.annotations.last()?;
        let is_there = |path: &str| document.pointer(path).is_some_and(Value::is_object);
        if is_there(map) {
            return None;
        }
        let mut value = add.value.clone();
        if let Some(key) = key.strip_prefix('/') {
            value = json!({unescaped(key): value});
        }
        let mut path = map.as_str();
        for above in ancestors(map).take_while(|above| !is_there(above)) {
            let missing = path.strip_prefix(above)?.strip_prefix('/')?;
            value = json!({unescaped(missing): value});
            path = above;
        }
        let path = PointerBuf::parse(path).ok()?;
        Some(PatchOperation::Add(AddOperation { path, value }))
    }

    fn locate_operation(
        &self,
        mut operation: PatchOperation,
        document: &Value,
    ) -> Option<PatchOperation> {
        let (to, from) = match &mut operation {
            PatchOperation::Add(it) => (&mut it.path, None),
            PatchOperation::Remove(it) => (&mut it.path, None),
            PatchOperation::Replace(it) => (&mut it.path, None),
            PatchOperation::Test(it) => (&mut it.path, None),
            PatchOperation::Move(it) => (&mut it.path, Some(&mut it.from)),
            PatchOperation::Copy(it) => (&mut it.path, Some(&mut it.from)),
        };
        for pointer in [Some(to), from].into_iter().flatten() {
            let located = self.locate_in(pointer.as_str(), document);
            if self.is_added(&located, document) {
                return None;
            }
            if let Ok(located) = PointerBuf::parse(located) {
                *pointer = located;
            }
        }
        Some(operation)
    }

    /// Where a path of the Pod's patch lies in the document: an annotation in the last map that has it.
    fn locate_in(&self, path: &str, document: &Value) -> String {
        let there = path.strip_prefix(ANNOTATIONS).and_then(|rest| {
            let places = self.annotations.iter().rev();
            let mut places = places.map(|map| format!("{map}{rest}"));
            places.find(|place| document.pointer(place).is_some())
        });
        there.unwrap_or_else(|| self.locate(path))
    }

    /// Whether a path is of a container that the document does not have.
    fn is_added(&self, path: &str, document: &Value) -> bool {
        let containers = format!("{}/containers/", self.spec);
        let below = path.strip_prefix(&containers);
        let Some(at) = below.and_then(|below| below.split('/').next()) else {
            return false;
        };
        document.pointer(&format!("{containers}{at}")).is_none()
    }
}
