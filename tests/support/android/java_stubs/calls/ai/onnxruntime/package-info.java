/**
 * The part of com.microsoft.onnxruntime:onnxruntime-android that the sample calls, by its published signatures. The
 * bodies pass every call to a process with the same runtime in Python: see {@link ai.onnxruntime.Pipe}. Like the library
 * they throw where something closed is used.
 */
package ai.onnxruntime;
