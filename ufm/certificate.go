package ufm

var certificateQuestions []Question
