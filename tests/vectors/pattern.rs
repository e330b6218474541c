//! What a message may look like.

use std::collections::HashMap;

use serde_json::Value;

/// The operator of a pattern and its argument, if it is one: `{"$any": true}`.
fn operator(pattern: &Value) -> Option<(&str, &Value)> {
    let (key, inner) = pattern.as_object()?.iter().next()?;
    key.starts_with('$').then_some((key.as_str(), inner))
}

/// Whether a value fits. Values that the pattern saves are put into `saved`.
pub fn fits(pattern: &Value, value: &Value, saved: &mut HashMap<String, Value>) -> bool {
    let Some((operator, inner)) = operator(pattern) else {
        return match (pattern, value) {
            (Value::Array(patterns), Value::Array(values)) => {
                let mut pairs = patterns.iter().zip(values);
                patterns.len() == values.len() && pairs.all(|(part, of)| fits(part, of, saved))
            }
            (Value::Object(patterns), Value::Object(values)) => {
                patterns.iter().all(|(key, part)| match values.get(key) {
                    Some(value) => fits(part, value, saved),
                    None => part.get("$optional").is_some() || part.get("$absent").is_some(),
                })
            }
            _ => pattern == value,
        };
    };
    let mut is_in = |part: &Value| {
        let values = value.as_array().expect("a list");
        values.iter().any(|value| fits(part, value, saved))
    };
    match operator {
        "$any" => true,
        "$type" => match inner.as_str().expect("a type") {
            "string" => value.is_string(),
            "integer" => value.is_i64(),
            "list" => value.is_array(),
            "object" => value.is_object(),
            "boolean" => value.is_boolean(),
            other => panic!("no type: {other}"),
        },
        "$oneOf" => list(inner).iter().any(|part| fits(part, value, saved)),
        "$optional" => fits(inner, value, saved),
        "$contains" => value.is_array() && list(inner).iter().all(is_in),
        "$lacks" => value.is_array() && !list(inner).iter().any(&mut is_in),
        "$save" => {
            saved.insert(inner.as_str().expect("a name").to_owned(), value.clone());
            true
        }
        "$same" => saved.get(inner.as_str().expect("a name")) == Some(value),
        "$absent" => false,
        other => panic!("no operator: {other}"),
    }
}

/// A list in a case.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

#[test]
fn patterns_fit_what_they_say() {
    use serde_json::json;

    for (pattern, fitting, others) in [
        (
            json!(1),
            vec![json!(1)],
            vec![json!(true), json!("1"), json!(1.0), json!(null)],
        ),
        (
            json!({"a": 1}),
            vec![json!({"a": 1}), json!({"b": 2, "a": 1})],
            vec![json!({}), json!([1])],
        ),
        (
            json!([1, {"$any": true}]),
            vec![json!([1, 2]), json!([1, null])],
            vec![json!([1]), json!([1, 2, 3])],
        ),
        (
            json!({"a": {"$optional": 1}}),
            vec![json!({}), json!({"a": 1})],
            vec![json!({"a": 2})],
        ),
        (
            json!({"a": {"$absent": true}}),
            vec![json!({}), json!({"b": 1})],
            vec![json!({"a": null})],
        ),
        (
            json!({"$type": "integer"}),
            vec![json!(0), json!(-1)],
            vec![json!(1.5), json!("0"), json!(false)],
        ),
        (
            json!({"$oneOf": [1, "1"]}),
            vec![json!(1), json!("1")],
            vec![json!(2)],
        ),
        (
            json!({"$contains": [1, 2]}),
            vec![json!([2, 3, 1])],
            vec![json!([1, 3]), json!("12")],
        ),
        (
            json!({"$lacks": [1, 2]}),
            vec![json!([]), json!([3])],
            vec![json!([3, 2]), json!({})],
        ),
        (
            json!([{"$save": "x"}, {"$same": "x"}]),
            vec![json!([7, 7])],
            vec![json!([7, 8])],
        ),
    ] {
        for value in fitting {
            assert!(
                fits(&pattern, &value, &mut HashMap::new()),
                "{pattern} {value}"
            );
        }
        for value in others {
            assert!(
                !fits(&pattern, &value, &mut HashMap::new()),
                "{pattern} {value}"
            );
        }
    }
}
