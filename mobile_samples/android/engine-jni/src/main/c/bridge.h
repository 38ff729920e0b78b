/* What every file of the shim shares.
 *
 * Text crosses as byte arrays of UTF-8: the strings of JNI are "modified" UTF-8, in which an emoji is another sequence
 * of bytes. The shim keeps no state of its own and takes no locks: its Kotlin side sees to it that nothing is used after it
 * was freed. It is compiled for Android without any C headers, so the few functions of libc are declared here. */
#ifndef GEMMABRIDGE_BRIDGE_H
#define GEMMABRIDGE_BRIDGE_H

#include <jni.h>
#include <stddef.h>
#include <stdint.h>

#include "litert_lm.h"

void *malloc(size_t);
void free(void *);
size_t strlen(const char *);

/* The class is dev.gemmabridge.jni.Native. */
#define NATIVE(type, name) JNIEXPORT type JNICALL Java_dev_gemmabridge_jni_Native_##name

/* A copy that ends with 0, to be freed; null for null, and with an exception pending when memory is short. */
char *text_of(JNIEnv *, jbyteArray);

/* Null for null, and with an exception pending when memory is short. */
jbyteArray bytes_of(JNIEnv *, const char *);

/* Throws an EngineException: what failed, and what the engine said of it. */
void fail(JNIEnv *, const char *what);

/* Throws an EngineException unless another exception is pending. */
void fail_memory(JNIEnv *);

/* Null, with an exception pending, when it fails. A `top_k` below 1 leaves sampling to the model, a `limit` below 1 the
 * length. */
SessionConfig *session_config(JNIEnv *, jint top_k, jfloat top_p, jfloat temperature, jint seed, jint limit);

#endif
