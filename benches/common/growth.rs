//! Reviews that grow in one respect at a time.

use serde_json::{Value, json};

use super::{Case, Make, Shape, case, pad, request, view};

/// What grows, and a review at each point.
pub struct Growth {
    pub what: &'static str,
    pub points: Vec<(usize, Make)>,
}

/// Bytes, terms, containers and classes.
pub fn growth() -> [Growth; 4] {
    let of = |what, points: &[usize], make: fn(usize) -> Case| Growth {
        what,
        points: points
            .iter()
            .map(|&point| (point, Box::new(move || make(point)) as Make))
            .collect(),
    };
    [
        of(
            "KB",
            &[1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000],
            kilobytes,
        ),
        of("terms", &[1, 2, 4, 8, 16, 32, 64], |terms| {
            shaped(Shape {
                terms,
                ..Shape::default()
            })
        }),
        of("containers", &[1, 2, 4, 8, 16, 32, 50], |containers| {
            shaped(Shape {
                containers,
                bytes: 0,
                ..Shape::default()
            })
        }),
        of("classes", &[10, 100, 1_000, 10_000], |classes| {
            shaped(Shape {
                classes,
                ..Shape::default()
            })
        }),
    ]
}

fn shaped(shape: Shape) -> Case {
    case("growth", &shape)
}

/// A Pod that says little, and the rest is environment variables: no API server writes a review of 1 KB.
fn kilobytes(count: usize) -> Case {
    let shape = Shape::default();
    let least = Shape { bytes: 0, ..shape };
    let mut review: Value = serde_json::from_str(&request(&least, "class-7")).expect("JSON");
    let pod = &mut review["request"]["object"];
    pod["metadata"] =
        json!({"generateName": "vllm-", "labels": {"berth.dev/workload-class": "class-7"}});
    pod["spec"] = json!({"containers": [{"name": "main", "image": "vllm/vllm-openai:v0.11.2"}]});
    pad(&mut review, count * 1_000);
    Case {
        name: "growth".to_owned(),
        body: review.to_string().into_bytes(),
        view: view(shape.classes),
        reason: "Placed",
    }
}
