package ai.onnxruntime;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.LongBuffer;
import java.util.logging.Logger;

public class OnnxTensor extends OnnxTensorLike {
  OnnxTensor(long nativeHandle, TensorInfo info) {
    super(nativeHandle, info);
  }

  public static OnnxTensor createTensor(OrtEnvironment env, FloatBuffer data, long[] shape) throws OrtException {
    ByteBuffer bytes = ByteBuffer.allocate(Float.BYTES * data.remaining()).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asFloatBuffer().put(data.duplicate());
    return made(bytes, Float.BYTES, OnnxJavaType.FLOAT, shape);
  }

  public static OnnxTensor createTensor(OrtEnvironment env, LongBuffer data, long[] shape) throws OrtException {
    ByteBuffer bytes = ByteBuffer.allocate(Long.BYTES * data.remaining()).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asLongBuffer().put(data.duplicate());
    return made(bytes, Long.BYTES, OnnxJavaType.INT64, shape);
  }

  private static OnnxTensor made(ByteBuffer bytes, int size, OnnxJavaType type, long[] shape) throws OrtException {
    long count = 1;
    for (long length : shape) {
      count *= length;
    }
    if (count * size != bytes.capacity()) {
      throw new OrtException("Shape requires " + count + " elements but the buffer has " + bytes.capacity() / size);
    }
    TensorInfo info = new TensorInfo(shape.clone(), type);
    return new OnnxTensor(Pipe.tensor(info, bytes.array()), info);
  }

  public FloatBuffer getFloatBuffer() {
    checkClosed();
    if (info.type != OnnxJavaType.FLOAT) {
      return null;
    }
    FloatBuffer read = ByteBuffer.wrap(Pipe.read(nativeHandle)).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer();
    FloatBuffer output = FloatBuffer.allocate(read.capacity());
    output.put(read);
    output.rewind();
    return output;
  }

  @Override
  public synchronized void close() {
    if (closed) {
      Logger.getLogger(OnnxTensor.class.getName()).warning("Closing an already closed tensor.");
      return;
    }
    closed = true;
    Pipe.free(nativeHandle);
  }
}
