//! Batches of the Arrow release that `finalite-arrow` has as those of DataFusion's, and back, without a copy.
//!
//! DataFusion takes up a release of Arrow months after it is out. Buffers are the same in all of them: each is handed
//! over as shared bytes. Texts are validated once more, because the safe interface of Arrow has no other way.

/// Another release's arrays and types, under the names that `datafusion_common::arrow` has.
pub(crate) mod current {
    pub(crate) use arrow_array as array;
    pub(crate) use arrow_buffer as buffer;
    pub(crate) use arrow_schema as error;
    pub(crate) mod datatypes {
        pub(crate) use arrow_buffer::ArrowNativeType;
        pub(crate) use arrow_schema::{DataType, Field, Schema, TimeUnit};
    }
}

/// Defines a module with the conversions of one direction.
macro_rules! bridge {
    ($module:ident, $($from:ident)::+, $($to:ident)::+) => {
        pub(crate) mod $module {
            use std::collections::HashMap;
            use std::sync::Arc;

            use bytes::Bytes;

            use $($from)::+::array::cast::AsArray;
            use $($from)::+::array::{self as from, Array, types as t};
            use $($from)::+::buffer as from_buffer;
            use $($from)::+::datatypes as from_types;
            use $($to)::+::array as to;
            use $($to)::+::buffer as to_buffer;
            use $($to)::+::datatypes::{ArrowNativeType, DataType, Field, Schema, TimeUnit};
            use $($to)::+::error::ArrowError;

            /// Memory that both releases share.
            struct Shared(from_buffer::Buffer);

            impl AsRef<[u8]> for Shared {
                fn as_ref(&self) -> &[u8] {
                    &self.0
                }
            }

            fn buffer(buffer: &from_buffer::Buffer) -> to_buffer::Buffer {
                Bytes::from_owner(Shared(buffer.clone())).into()
            }

            fn scalars<T: ArrowNativeType>(values: &from_buffer::Buffer) -> to_buffer::ScalarBuffer<T> {
                to_buffer::ScalarBuffer::from(buffer(values))
            }

            fn bits(bits: &from_buffer::BooleanBuffer) -> to_buffer::BooleanBuffer {
                to_buffer::BooleanBuffer::new(buffer(bits.inner()), bits.offset(), bits.len())
            }

            fn nulls(array: &dyn Array) -> Option<to_buffer::NullBuffer> {
                array.nulls().map(|nulls| to_buffer::NullBuffer::new(bits(nulls.inner())))
            }

            fn primitive<F: from::ArrowPrimitiveType, T: to::ArrowPrimitiveType>(
                array: &dyn Array,
            ) -> Result<to::PrimitiveArray<T>, ArrowError> {
                let values = array.as_primitive::<F>();
                to::PrimitiveArray::try_new(scalars(values.values().inner()), nulls(array))
            }

            fn byte_array<F: from::types::ByteArrayType, T: to::types::ByteArrayType>(
                array: &dyn Array,
            ) -> Result<to::ArrayRef, ArrowError> {
                let values = array.as_bytes::<F>();
                let offsets = to_buffer::OffsetBuffer::new(scalars(values.offsets().inner().inner()));
                let array = to::GenericByteArray::<T>::try_new(offsets, buffer(values.values()), nulls(array))?;
                Ok(Arc::new(array))
            }

            /// Returns the type; `None` for one that `finalite-arrow` does not read.
            pub(crate) fn data_type(data_type: &from_types::DataType) -> Option<DataType> {
                use from_types::DataType as D;
                Some(match data_type {
                    D::Null => DataType::Null,
                    D::Boolean => DataType::Boolean,
                    D::Int64 => DataType::Int64,
                    D::Float64 => DataType::Float64,
                    D::Utf8 => DataType::Utf8,
                    D::LargeUtf8 => DataType::LargeUtf8,
                    D::Binary => DataType::Binary,
                    D::LargeBinary => DataType::LargeBinary,
                    D::Date32 => DataType::Date32,
                    D::Timestamp(from_types::TimeUnit::Microsecond, zone) => {
                        DataType::Timestamp(TimeUnit::Microsecond, zone.clone())
                    }
                    &D::Decimal128(precision, scale) => DataType::Decimal128(precision, scale),
                    _ => return None,
                })
            }

            fn unknown(column: &str, data_type: &from_types::DataType) -> crate::Error {
                crate::Error::Type { column: column.into(), data_type: data_type.to_string().into() }
            }

            /// # Errors
            ///
            /// [`Error::Type`](crate::Error::Type).
            pub(crate) fn field(field: &from_types::Field) -> crate::Result<Field> {
                let to = data_type(field.data_type()).ok_or_else(|| unknown(field.name(), field.data_type()))?;
                let metadata = field.metadata().iter().map(|(key, value)| (key.to_string(), value.to_string()));
                let metadata: HashMap<String, String> = metadata.collect();
                Ok(Field::new(field.name(), to, field.is_nullable()).with_metadata(metadata))
            }

            fn array(array: &dyn Array, data_type: &DataType) -> Result<to::ArrayRef, ArrowError> {
                use $($to)::+::array::types as to_t;
                Ok(match data_type {
                    DataType::Boolean => {
                        Arc::new(to::BooleanArray::new(bits(array.as_boolean().values()), nulls(array)))
                    }
                    DataType::Int64 => Arc::new(primitive::<t::Int64Type, to_t::Int64Type>(array)?),
                    DataType::Float64 => Arc::new(primitive::<t::Float64Type, to_t::Float64Type>(array)?),
                    DataType::Date32 => Arc::new(primitive::<t::Date32Type, to_t::Date32Type>(array)?),
                    DataType::Timestamp(_, zone) => Arc::new(
                        primitive::<t::TimestampMicrosecondType, to_t::TimestampMicrosecondType>(array)?
                            .with_timezone_opt(zone.clone()),
                    ),
                    &DataType::Decimal128(precision, scale) => Arc::new(
                        primitive::<t::Decimal128Type, to_t::Decimal128Type>(array)?
                            .with_precision_and_scale(precision, scale)?,
                    ),
                    DataType::Utf8 => byte_array::<t::Utf8Type, to_t::Utf8Type>(array)?,
                    DataType::LargeUtf8 => byte_array::<t::LargeUtf8Type, to_t::LargeUtf8Type>(array)?,
                    DataType::Binary => byte_array::<t::BinaryType, to_t::BinaryType>(array)?,
                    DataType::LargeBinary => byte_array::<t::LargeBinaryType, to_t::LargeBinaryType>(array)?,
                    _ => Arc::new(to::NullArray::new(array.len())),
                })
            }

            /// Converts a batch, whose types are those of this schema.
            ///
            /// # Errors
            ///
            /// Those of Arrow.
            pub(crate) fn batch(batch: &from::RecordBatch, schema: &Arc<Schema>) -> crate::Result<to::RecordBatch> {
                let columns = batch.columns().iter().zip(schema.fields());
                let arrays = columns.map(|(values, field)| array(values, field.data_type()));
                let arrays = arrays.collect::<Result<Vec<_>, _>>().map_err(failed)?;
                let options = to::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
                to::RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &options).map_err(failed)
            }

            /// Errors of arrays that this release of Arrow does not take over; the other release has validated them.
            fn failed(error: ArrowError) -> crate::Error {
                let error = arrow_schema::ArrowError::ExternalError(Box::new(error));
                crate::Error::Arrow(finalite_arrow::Error::Arrow(error))
            }
        }
    };
}

bridge!(to_datafusion, crate::bridge::current, datafusion_common::arrow);
bridge!(from_datafusion, datafusion_common::arrow, crate::bridge::current);
